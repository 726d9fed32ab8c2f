"""ATST-Frame against its formulas, and the names of its kinds of checkpoints."""

import math

import pytest
import torch

from sedrepro.errors import SedreproError
from sedrepro.miniature import weights as look
from sedrepro.networks.atst import Atst


def test_size_is_the_published_one():
    with torch.device("meta"):
        network = Atst()
    assert sum(p.numel() for p in network.parameters()) == 85_419_264


def reference(state, x, depth):
    """The formulas on plain tensors, head by head."""

    def norm(name, x):
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return centred / deviation * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(name, x):
        y = x @ state[f"{name}.weight"].T
        return y + state[f"{name}.bias"] if f"{name}.bias" in state else y

    strips = x.shape[-1] // 4
    flat = torch.stack(
        [
            torch.stack([x[:, i // 4, 4 * t + i % 4] for i in range(256)], -1)  # 4 · mel + frame
            for t in range(strips)
        ],
        1,
    )
    x = linear("patch_embed.patch_embed", flat) + state["pos_embed"][:, 1 : strips + 1]
    width = x.shape[-1]
    for i in range(depth):
        qkv = linear(f"blocks.{i}.attn.qkv", norm(f"blocks.{i}.norm1", x))
        q, k, v = qkv.split(width, -1)
        heads = []
        for h in range(width // 64):
            own = slice(64 * h, 64 * h + 64)
            share = torch.softmax(q[..., own] @ k[..., own].mT / 8, -1)
            heads.append(share @ v[..., own])
        x = x + linear(f"blocks.{i}.attn.proj", torch.cat(heads, -1))
        hidden = linear(f"blocks.{i}.mlp.fc1", norm(f"blocks.{i}.norm2", x))
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + linear(f"blocks.{i}.mlp.fc2", hidden)
    return norm("norm_frame", x)


def test_it_is_its_formulas():
    torch.manual_seed(0)
    network = Atst(width=128, depth=2, inner=32, places=12).double().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_()
    x = torch.randn(2, 64, 41, dtype=torch.double)  # the last frame is dropped
    wanted = reference(network.state_dict(), x, 2)
    assert wanted.shape == (2, 10, 128)
    torch.testing.assert_close(network(x), wanted, rtol=1e-9, atol=1e-9)


class LightningObject:
    """Of a class that nobody has where the file is read."""

    def __init__(self):
        self.hparams = {"lr": 1e-3}


def test_all_kinds_of_files_load(tmp_path):
    state = {k: torch.from_numpy(v) for k, v in look.atst(7).items()}
    tuned = tmp_path / "tuned.ckpt"
    more = {"encoder.encoder.teacher_module.x": torch.zeros(1), "head.weight": torch.zeros(1)}
    objects = {"callbacks": {LightningObject: {"best": torch.zeros(())}}, "h": LightningObject()}
    torch.save({"state_dict": {**state, **more}, "epoch": 3, **objects}, tuned)
    network = Atst.load(tuned)
    assert (network.depth, network.width) == (2, 64)
    prefix = "encoder.encoder.frame_encoder."
    plain = {k.removeprefix(prefix): v for k, v in state.items()}
    torch.testing.assert_close(network.state_dict()["pos_embed"], plain["pos_embed"])

    own = {
        "model.teacher.encoder." + k.replace("norm_frame.", "norm."): v for k, v in plain.items()
    }
    own["model.teacher.encoder.cls_token"] = torch.zeros(1)
    own["model.student.encoder.pos_embed"] = torch.zeros(1)
    torch.save({"state_dict": own}, tmp_path / "self.ckpt")
    x = torch.randn(1, 64, 40)
    torch.testing.assert_close(Atst.load(tmp_path / "self.ckpt")(x), network(x))

    flat = {f"model.atst.{key}": value for key, value in plain.items()}
    flat |= {"model.atst_mel.mel_transform.window": torch.zeros(3), "strong_head.bias": x[0]}
    torch.save(flat, tmp_path / "flat.pt")
    torch.testing.assert_close(Atst.load(tmp_path / "flat.pt")(x), network(x))

    del state[f"{prefix}blocks.1.attn.qkv.weight"]
    torch.save({"state_dict": state}, tuned)
    with pytest.raises(SedreproError, match=r"lacks 'blocks.1.attn.qkv.weight'"):
        Atst.load(tuned)
    torch.save({"model": {}}, tuned)
    with pytest.raises(SedreproError, match="not an ATST checkpoint"):
        Atst.load(tuned)
