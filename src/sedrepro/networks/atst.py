"""ATST-Frame (Li et al., 2023): a transformer over strips of a mel spectrum, 40 ms each.

Modules have the names of the released checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SedreproError
from . import weights

BANDS, STRIP, HEAD = 64, 4, 64  # mel bands; frames per strip; width of an attention head
SELF_SUPERVISED = "model.teacher.encoder."
FINE_TUNED = ("encoder.encoder.frame_encoder.", "encoder.encoder.", "model.atst.")
"""The last is PretrainedSED's, whose file is the `state_dict` itself."""
PASSED_OVER = "encoder.encoder.teacher_module."


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        clips, tokens, width = x.shape
        q, k, v = self.qkv(x).view(clips, tokens, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    """A pre-norm block."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width)
        self.mlp = _Mlp(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Strips(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch_embed = nn.Linear(BANDS * STRIP, width)


class Atst(nn.Module):
    """(clip, 64 bands, frames) → (clip, token, width); an incomplete last strip is dropped."""

    bands = 1

    def __init__(self, width: int = 768, depth: int = 12, inner: int = 3072, places: int = 251):
        super().__init__()
        self.mask_embed = nn.Parameter(torch.zeros(1, 1, width))  # of pre-training only
        self.pos_embed = nn.Parameter(torch.zeros(1, places, width))  # its first row is unused
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.patch_embed = _Strips(width)
        self.blocks = nn.ModuleList(_Block(width, inner) for _ in range(depth))
        self.norm_frame = nn.LayerNorm(width, eps=1e-6)

    @classmethod
    def load(cls, path: str | Path) -> Atst:
        """From a released checkpoint, self-supervised or fine-tuned; its size is the file's."""
        saved = weights.load_checkpoint(path)
        if isinstance(saved, dict):
            saved = saved.get("state_dict", saved)
        state = _renamed(saved) if isinstance(saved, dict) else {}
        if not state:
            raise SedreproError(
                f"{path}: not an ATST checkpoint: nothing in it begins with {SELF_SUPERVISED}, "
                f"{' or '.join(FINE_TUNED)}"
            )
        state = weights.tensors(state, path)
        for key in ("pos_embed", "blocks.0.mlp.fc1.weight"):
            if key not in state:
                raise SedreproError(f"{path}: lacks {key!r}")
        depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
        if state["pos_embed"].dim() != 3:
            raise SedreproError(f"{path}: 'pos_embed' has {state['pos_embed'].dim()} axes, not 3")
        _, places, width = state["pos_embed"].shape
        with weights.skeleton():
            network = cls(width, depth, len(state["blocks.0.mlp.fc1.weight"]), places)
        state.setdefault("mask_embed", torch.zeros(1, 1, width))
        weights.fill(network, state, path)
        return network

    @property
    def depth(self) -> int:
        return len(self.blocks)

    @property
    def width(self) -> int:
        return self.pos_embed.shape[-1]

    def forward(self, spectrum: Tensor) -> Tensor:
        strips = spectrum.shape[-1] // STRIP
        cut = spectrum[..., : strips * STRIP].unflatten(-1, (strips, STRIP))
        x = self.patch_embed.patch_embed(cut.permute(0, 2, 1, 3).flatten(2))
        x = x + self.pos_embed[:, 1 : strips + 1]
        for block in self.blocks:
            x = block(x)
        return self.norm_frame(x)


def _renamed(saved: Mapping[Any, Any]) -> dict[str, Any]:
    """A checkpoint's keys under the network's names; others are left out."""
    state = {key: value for key, value in saved.items() if isinstance(key, str)}
    own = {k: v for k, v in state.items() if k.startswith(SELF_SUPERVISED)}
    if own:
        renamed = {k.replace("encoder.norm.", "encoder.norm_frame."): v for k, v in own.items()}
        return {
            k.removeprefix(SELF_SUPERVISED): v for k, v in renamed.items() if "cls_token" not in k
        }
    found = {}
    for key, value in state.items():
        if key.startswith(PASSED_OVER):
            continue
        for prefix in FINE_TUNED:
            if key.startswith(prefix):
                found[key.removeprefix(prefix)] = value
                break
    return found
