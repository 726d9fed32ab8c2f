"""Weights of all four known layouts come through their copies, and load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import gdown
import pytest
import requests
import torch
from loopback import Host, md5

from sedrepro.files import read_json, write_json
from sedrepro.miniature import weights as look
from sedrepro.networks.atst import Atst
from sedrepro.networks.beats import Beats
from sedrepro.pipeline.audit import audit
from sedrepro.settings import Layout
from sedrepro.sources import registry
from sedrepro.sources.fetch import obtain

RAW = Path("data/full/raw/weights")


def beats(flat: bool) -> dict:
    """A small file as its authors released it, or as PretrainedSED did."""
    content = look.content("beats", 7)
    if not flat:
        return content
    heads = {"weak_head.bias": look.np.zeros(5), "strong_head.weight": look.np.zeros((5, 24))}
    return {f"model.model.{key}": value for key, value in content["model"].items()} | heads


def atst(flat: bool) -> dict:
    """The same of ATST-Frame."""
    state = look.atst(7)
    if not flat:
        return {"state_dict": state}
    inner = {key.removeprefix("encoder.encoder.frame_encoder."): v for key, v in state.items()}
    buffers = {"model.atst_mel.mel_transform.window": look.np.zeros(3)}
    return {f"model.atst.{key}": value for key, value in inner.items()} | buffers


def saved(content: dict) -> bytes:
    path = Path("made.pt")
    look.write(path, content)
    return path.read_bytes()


@pytest.fixture
def weights(root: Path, project, host: Host, monkeypatch):
    """`weights(name, files, **fields)`: a resource of the real registry, its hosts simulated.

    `files` are what its hosts have, by name; all else is gone. `fields` replace the registry's.
    """
    known = registry.load(root)

    def gone(**_: object) -> None:
        answer = requests.Response()
        answer.status_code = 404
        raise requests.exceptions.HTTPError("404", response=answer)

    monkeypatch.setattr(gdown, "download", gone)

    def make(name: str, files: dict[str, bytes], **fields):
        resource = known[name].model_dump(exclude={"clips"})
        (file,) = resource["files"]
        file |= fields
        for mirror in file["mirrors"]:
            path = urlsplit(mirror["url"]).path[1:]
            mirror["url"] = host.url(path)
            if (content := files.get(path.rpartition("/")[2])) is not None:
                host.add(path, content)
        return project({name: resource})

    return make


def copy_of(name: str, layout: str, **more) -> dict:
    address = f"https://github.com/somebody/{name}"
    return {"url": address, "licence": "?", "trust": "none", "layout": layout, **more}


@pytest.mark.parametrize("flat", [False, True])
def test_beats_loads_from_whoever_has_it(weights, project, flat: bool) -> None:
    project({"x": {"files": [{"name": "a"}]}})
    official, again = saved(beats(False)), saved(beats(True))
    file = "BEATs_iter3_plus_AS2M.pt"
    there = {"BEATs_ssl.pt": again} if flat else {"BEATs_ssl.pt": again, file: official}
    settings = weights("beats", there, sha256=hashlib.sha256(official).hexdigest())
    status = obtain("beats", settings)
    assert status["status"] == "ok"
    network = Beats.load(RAW / file)
    wanted = torch.from_numpy(look.beats(7)["encoder.layers.1.fc1.weight"])
    assert torch.equal(network.encoder.layers[1].fc1.weight, wanted)
    assert ("saved again as model.model.*" in status["reason"]) == flat
    lock = read_json("data/full/datasets.lock.json")
    key, by = ("beats/BEATs_ssl.pt", "nobody") if flat else (f"beats/{file}", "registry")
    assert {name: entry["checked_against"] for name, entry in lock.items()} == {key: by}
    assert obtain("beats", settings) == status


@pytest.mark.parametrize("flat", [False, True])
def test_atst_loads_from_whoever_has_it(weights, project, flat: bool) -> None:
    project({"x": {"files": [{"name": "a"}]}})
    content = saved(atst(flat))
    sha256 = hashlib.sha256(content).hexdigest()
    fields = {"sha256": sha256, "mirrors": [copy_of("a.pt", "the same bytes")]}
    if flat:
        fields = {"mirrors": [copy_of("a.pt", "saved again as model.atst.*", sha256=sha256)]}
    assert (
        obtain("atst_frame", weights("atst_frame", {"a.pt": content}, **fields))["status"] == "ok"
    )
    network = Atst.load(RAW / "atst_as2M.ckpt")
    wanted = torch.from_numpy(look.atst(7)["encoder.encoder.frame_encoder.pos_embed"])
    assert torch.equal(network.pos_embed, wanted)


def test_a_copy_that_is_not_what_it_was_names_both_checksums(weights, project, host) -> None:
    """Of the original's bytes, of a copy whose checksum is stated, and of one once measured."""
    project({"x": {"files": [{"name": "a"}]}})
    content, other = saved(beats(True)), saved(atst(True))
    wanted, got = (hashlib.sha256(bytes_).hexdigest() for bytes_ in (content, other))
    file = "BEATs_iter3_plus_AS2M.pt"
    copies = [copy_of("b.pt", "saved again", sha256=wanted)]
    for settings in (
        weights("beats", {file: other}, sha256=wanted),
        weights("beats", {"b.pt": other}, mirrors=copies),
    ):
        status = obtain("beats", settings)
        assert status["status"] == "unavailable"
        assert f"sha256 is {got}, not {wanted}" in status["reason"]
    measured = weights("beats", {"BEATs_ssl.pt": content})
    assert obtain("beats", measured)["status"] == "ok"
    (RAW / file).unlink()
    Path(f"data/full/downloads/beats/{file}").unlink()
    changed = content[:-1] + bytes([content[-1] ^ 1])
    (page,) = (page for path, page in host.pages.items() if path.endswith("BEATs_ssl.pt"))
    page.content = changed
    told = f"md5 is {md5(changed)}, not {md5(content)} (lock file)"
    assert told in obtain("beats", measured)["reason"]


def test_an_audit_says_that_nobody_vouches_for_a_copy(weights, project) -> None:
    project({"x": {"files": [{"name": "a"}]}})
    settings = weights("beats", {"BEATs_ssl.pt": saved(beats(True))})
    write_json(Layout.of(settings).status("beats"), obtain("beats", settings))
    found = audit(settings)
    assert found.stock[0].verified == {"nobody": 1}
    assert "no checksum is stated" in found.losses[0]
