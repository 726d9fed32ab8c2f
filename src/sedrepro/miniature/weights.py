"""Random stand-ins for pre-trained weights, under the names of the real ones, tiny or as large."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SedreproError
from ..files import atomic
from ..settings import Layout, Project
from ..sources import registry
from .audioclip import audioclip

VERSION = 1
# The shape of the tiny BEATs, as its file's `cfg` says it.
BEATS = {
    "input_patch_size": 16,
    "embed_dim": 16,
    "conv_bias": False,
    "encoder_layers": 2,
    "encoder_embed_dim": 24,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 1,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "relative_position_embedding": True,
    "num_buckets": 32,
    "max_distance": 80,
    "gru_rel_pos": True,
    "finetuned_model": False,
}
ATST = {"width": 64, "inner": 96, "blocks": 2, "places": 251}
# The shapes of the real ones.
FULL_BEATS = BEATS | {
    "embed_dim": 512,
    "encoder_layers": 12,
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "num_buckets": 320,
    "max_distance": 800,
}
FULL_ATST = {"width": 768, "inner": 3072, "blocks": 12, "places": 251}

State = dict[str, np.ndarray]


class _Drawn(dict):
    """Weights by name, drawn one after the other."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng([seed, 30])

    def normal(self, name: str, *shape: int, deviation: float) -> None:
        self[name] = self.rng.normal(0, deviation, shape).astype(np.float32)

    def linear(self, name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        self.normal(f"{name}.weight", outputs, inputs, deviation=1 / math.sqrt(inputs))
        if bias:
            self[f"{name}.bias"] = np.zeros(outputs, np.float32)

    def norm(self, name: str, width: int) -> None:
        self[f"{name}.weight"] = np.ones(width, np.float32)
        self[f"{name}.bias"] = np.zeros(width, np.float32)


def beats(seed: int, cfg: dict[str, Any] = BEATS) -> State:
    """The `model` of a BEATs checkpoint of this shape."""
    width, inner, embed = (
        cfg[name] for name in ("encoder_embed_dim", "encoder_ffn_embed_dim", "embed_dim")
    )
    heads, kernel, patch = (
        cfg[name] for name in ("encoder_attention_heads", "conv_pos", "input_patch_size")
    )
    drawn = _Drawn(seed)
    drawn.normal("patch_embedding.weight", embed, 1, patch, patch, deviation=1 / patch)
    drawn.norm("layer_norm", embed)
    drawn.linear("post_extract_proj", embed, width)
    deviation = math.sqrt(4 / (kernel * width))
    taps = (width, width // cfg["conv_pos_groups"], kernel)
    drawn.normal("encoder.pos_conv.0.weight_v", *taps, deviation=deviation)
    lengths = np.linalg.norm(drawn["encoder.pos_conv.0.weight_v"], axis=(0, 1), keepdims=True)
    drawn["encoder.pos_conv.0.weight_g"] = lengths
    drawn["encoder.pos_conv.0.bias"] = np.zeros(width, np.float32)
    drawn.norm("encoder.layer_norm", width)
    drawn.normal("table", cfg["num_buckets"], heads, deviation=0.5)
    table = drawn.pop("table")
    for index in range(cfg["encoder_layers"]):
        block = f"encoder.layers.{index}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            drawn.linear(f"{block}.self_attn.{name}", width, width)
        drawn.linear(f"{block}.self_attn.grep_linear", width // heads, 8)
        drawn[f"{block}.self_attn.grep_a"] = np.ones((1, heads, 1, 1), np.float32)
        drawn[f"{block}.self_attn.relative_attention_bias.weight"] = table
        drawn.norm(f"{block}.self_attn_layer_norm", width)
        drawn.linear(f"{block}.fc1", width, inner)
        drawn.linear(f"{block}.fc2", inner, width)
        drawn.norm(f"{block}.final_layer_norm", width)
    return dict(drawn)


def atst(seed: int, shape: dict[str, int] = ATST) -> State:
    """The `state_dict` of a fine-tuned ATST-Frame checkpoint of this shape."""
    width, inner = shape["width"], shape["inner"]
    drawn = _Drawn(seed)
    drawn["mask_embed"] = np.zeros((1, 1, width), np.float32)
    drawn.normal("pos_embed", 1, shape["places"], width, deviation=0.02)
    drawn.linear("patch_embed.patch_embed", 256, width)
    for index in range(shape["blocks"]):
        block = f"blocks.{index}"
        drawn.norm(f"{block}.norm1", width)
        drawn.linear(f"{block}.attn.qkv", width, 3 * width, bias=False)
        drawn.linear(f"{block}.attn.proj", width, width)
        drawn.norm(f"{block}.norm2", width)
        drawn.linear(f"{block}.mlp.fc1", width, inner)
        drawn.linear(f"{block}.mlp.fc2", inner, width)
    drawn.norm("norm_frame", width)
    return {f"encoder.encoder.frame_encoder.{name}": value for name, value in drawn.items()}


def content(resource: str, seed: int) -> dict[str, Any]:
    """What the file of a resource holds, in NumPy arrays."""
    if resource == "beats":
        return {"cfg": BEATS, "model": beats(seed)}
    if resource == "audioclip":
        return audioclip(seed)
    return {"state_dict": atst(seed)}


def full_size(resource: str, seed: int) -> dict[str, Any]:
    """The same in the size of the real weights."""
    if resource == "beats":
        return {"cfg": FULL_BEATS, "model": beats(seed, FULL_BEATS)}
    if resource == "atst_frame":
        return {"state_dict": atst(seed, FULL_ATST)}
    raise SedreproError(f"weights {resource}: there is no stand-in of their size; fetch them")


def write(path: Path, content: dict[str, Any]) -> None:
    """As a torch checkpoint."""
    import torch

    def tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: tensors(item) for key, item in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    with atomic(path) as temporary:
        torch.save(tensors(content), temporary)


def render(resource: str, project: Project) -> dict[str, int]:
    """Write the weights where their download would lie; returns files and bytes."""
    place = registry.load()[resource].files[0].place
    assert place is not None  # weights are files, not archives
    path = Path(Layout.of(project).raw("weights")) / place
    write(path, content(resource, project.data.look.seed))
    return {"files": 1, "bytes": path.stat().st_size}
