"""Frozen networks' tokens as stores: the same as computed online, and empty without weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sedrepro.features.kinds import scaled
from sedrepro.files import write_json
from sedrepro.inference.embed import embed
from sedrepro.inference.networks import as_input
from sedrepro.miniature import weights as look
from sedrepro.networks.pretrained import FrozenEncoder
from sedrepro.settings import Layout, Project, Subset
from sedrepro.sources import weights
from sedrepro.store import Store, writing

SUBSET = Subset("desed", "weak")


@pytest.fixture
def project(tmp_path, root, monkeypatch) -> Project:
    monkeypatch.chdir(root)  # the registry
    made = Project.model_validate(
        {
            "scale": "mini",
            "data": {"folder": str(tmp_path)},
            "front_ends": {
                "wave16k": {"kind": "waveform", "seconds": 1.0},
                "beats": {"kind": "beats", "channels": 24, "steps": 15},
                "atst_frame": {"kind": "atst_frame", "channels": 64, "steps": 15},
            },
        }
    )
    rng = np.random.default_rng(0)
    path = Layout.of(made).store(SUBSET, "wave16k")
    with writing(path, shape=(16001,), dtype="int16", attributes={}) as store:
        for k in range(35):  # more than one batch
            store.add(f"clip{k}", 0.5, scaled(rng.uniform(-0.1, 0.1, 16000)))
    return made


@pytest.mark.parametrize("resource", ["beats", "atst_frame"])
def test_stored_tokens_are_those_computed_online(resource, project):
    path = weights.path(resource, project)
    look.write(path, look.content(resource, 7))
    out = Layout.of(project).store(SUBSET, resource)
    embed(project, SUBSET, resource, out=out)
    store, waves = Store(out), Store(Layout.of(project).store(SUBSET, "wave16k"))
    assert store.clips == waves.clips
    assert store.seconds.tolist() == [0.5] * 35
    width = project.front_ends[resource].channels
    assert store.shape == (35, 15, width)
    network = FrozenEncoder(resource, path, width).eval()
    for k in (0, 34):
        with torch.no_grad():
            online = network(as_input(torch.from_numpy(waves.read([k]))), 15)[0]
        np.testing.assert_allclose(store[k], online.numpy(), rtol=2e-3, atol=2e-3)
    key = store.content_key
    look.write(path, look.content(resource, 8))
    embed(project, SUBSET, resource, out=out)
    assert Store(out).content_key != key


def test_without_weights_the_store_is_empty_and_says_why(project):
    reason = "there is no address a program may use today"
    status = Layout.of(project).status("beats")
    write_json(status, {"resource": "beats", "status": "unavailable", "reason": reason})
    out = Layout.of(project).store(SUBSET, "beats")
    embed(project, SUBSET, "beats", out=out)
    store = Store(out)
    assert len(store) == 0
    assert store.attributes["lacking"] == f"weights beats: {reason}"
