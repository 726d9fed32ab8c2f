"""BEATs (Chen et al., arXiv 2212.09058): a transformer over patches of a filter bank.

Modules have the names of the official checkpoints, `{cfg, model}`, so that those fit key by key;
PretrainedSED's have the same names behind `model.model.`, beside heads of its own, and no `cfg`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..checkpoints import Placeholder
from ..errors import SedreproError
from . import weights
from .adapters import Adapter


@dataclass(frozen=True)
class Config:
    """What a checkpoint's `cfg` says about the network's shape; the defaults are iter3+'s."""

    input_patch_size: int = 16
    embed_dim: int = 512
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800

    @classmethod
    def of(cls, cfg: Mapping[str, Any], path: str | Path) -> Config:
        """From a file's `cfg`; another architecture of the same family is refused."""
        for name, wanted in FIXED.items():
            if cfg.get(name, wanted) != wanted:
                raise SedreproError(f"{path}: cfg.{name} is {cfg[name]!r:.40}, not {wanted!r}")
        sizes = {f.name: cfg[f.name] for f in fields(cls) if f.name in cfg}
        for name, size in sizes.items():
            if type(size) is not int or not 0 < size < 1 << 20:
                raise SedreproError(f"{path}: cfg.{name} is {size!r:.40}, not a size")
        return cls(**sizes)

    @classmethod
    def measured(cls, state: Mapping[str, Tensor], path: str | Path) -> Config:
        """From the shapes of weights that come without a `cfg`; no shape tells `max_distance`."""
        layer, conv = "encoder.layers.0", "encoder.pos_conv.0"
        sizes = {}
        for name, (key, axis) in {
            "input_patch_size": ("patch_embedding.weight", 3),
            "embed_dim": ("patch_embedding.weight", 0),
            "encoder_embed_dim": ("post_extract_proj.weight", 0),
            "encoder_ffn_embed_dim": (f"{layer}.fc1.weight", 0),
            "encoder_attention_heads": (f"{layer}.self_attn.grep_a", 1),
            "conv_pos": (f"{conv}.weight_g", 2),
            "num_buckets": (f"{layer}.self_attn.relative_attention_bias.weight", 0),
            "conv_pos_groups": (f"{conv}.weight_v", 1),
        }.items():
            shape = state[key].shape if key in state else ()
            if len(shape) <= axis or not shape[axis]:
                raise SedreproError(f"{path}: lacks {key!r}, or its shape is not that of BEATs")
            sizes[name] = shape[axis]
        # The second axis holds the channels of one group.
        sizes["conv_pos_groups"] = sizes["encoder_embed_dim"] // sizes["conv_pos_groups"]
        layers = {key.split(".")[2] for key in state if key.startswith("encoder.layers.")}
        return cls(encoder_layers=len(layers), **sizes)


FIXED = {
    "conv_bias": False,
    "layer_norm_first": False,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "activation_fn": "gelu",
}


PRETRAINED_SED = "model.model."


def _parts(saved: Any, path: str | Path) -> tuple[Config, dict[str, Tensor]]:
    """A checkpoint's configuration and its weights by the official names."""
    if not isinstance(saved, dict):
        raise SedreproError(f"{path}: not a BEATs checkpoint: it holds a {type(saved).__name__}")
    if {"cfg", "model"} <= set(saved):
        cfg = saved["cfg"].state if isinstance(saved["cfg"], Placeholder) else saved["cfg"]
        state = weights.tensors(saved["model"], path)
        if not isinstance(cfg, dict):
            raise SedreproError(f"{path}: its `cfg` is a {type(cfg).__name__}, no dictionary")
        config = Config.of(cfg, path)
        if config.encoder_layers > len(state):
            raise SedreproError(f"{path}: holds fewer weights than `cfg` has layers")
        return config, state
    own = {
        key.removeprefix(PRETRAINED_SED): value
        for key, value in saved.items()
        if isinstance(key, str) and key.startswith(PRETRAINED_SED)
    }
    if not own:
        raise SedreproError(
            f"{path}: not a BEATs checkpoint: it lacks `cfg` or `model`, and {PRETRAINED_SED}*"
        )
    state = weights.tensors(own, path)
    return Config.measured(state, path), state


class PositionalConv(nn.Module):
    """A wide grouped convolution along the tokens, its weight normed per kernel tap."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.groups = groups
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight_g = nn.Parameter(torch.empty(1, 1, kernel))
        self.weight_v = nn.Parameter(torch.empty(width, width // groups, kernel))
        nn.init.normal_(self.weight_v, std=math.sqrt(4 / (kernel * width)))
        if not self.weight_v.is_meta:  # for a norm of nothing PyTorch would load its compiler too
            with torch.no_grad():
                self.weight_g.copy_(self.weight_v.norm(dim=(0, 1), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        x = F.conv1d(x.mT, weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        return F.gelu(x[..., : -1 if self.kernel % 2 == 0 else None]).mT


class Attention(nn.Module):
    """Multi-head attention whose position bias each query opens or shuts by a gate."""

    def __init__(self, config: Config, bias: nn.Embedding) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.heads = config.encoder_attention_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.grep_linear = nn.Linear(width // self.heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))
        self.relative_attention_bias = bias  # one table, listed under every block

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`bias` (head, query, key) before the gate."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        opened = self.grep_linear(q).unflatten(-1, (2, 4)).sum(-1).sigmoid()
        gate = opened[..., :1] * (opened[..., 1:] * self.grep_a - 1) + 2
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=(gate * bias).to(q.dtype))
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A post-norm block with DeepNorm; adapters see what passes through it."""

    def __init__(self, config: Config, bias: nn.Embedding) -> None:
        super().__init__()
        width, inner = config.encoder_embed_dim, config.encoder_ffn_embed_dim
        self.alpha = (2 * config.encoder_layers) ** 0.25
        self.self_attn = Attention(config, bias)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, bias: Tensor, adapter: Adapter | None = None) -> Tensor:
        through = adapter or PASS
        found = through.attention(self.self_attn(x, bias))
        u = through.attended(self.self_attn_layer_norm(self.alpha * x + found))
        found = through.feed_forward(self.fc2(F.gelu(self.fc1(u))), u)
        return through.output(self.final_layer_norm(self.alpha * u + found))


PASS = Adapter()


class Encoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.pos_conv = nn.ModuleList(
            [PositionalConv(width, config.conv_pos, config.conv_pos_groups)]
        )
        self.layer_norm = nn.LayerNorm(width)
        bias = nn.Embedding(config.num_buckets, config.encoder_attention_heads)
        self.layers = nn.ModuleList(Block(config, bias) for _ in range(config.encoder_layers))

    @property
    def blocks(self) -> list[Block]:
        return [cast(Block, layer) for layer in self.layers]


class Beats(nn.Module):
    """(clip, frame, band) standardised filter banks → (clip, token, width) tokens.

    A token is a patch of 16 frames × 16 bands; its index is time · `bands` + frequency.
    """

    def __init__(self, config: Config, mel_bands: int = 128) -> None:
        super().__init__()
        self.config = config
        patch = config.input_patch_size
        self._buckets: dict[tuple[int, torch.device], Tensor] = {}
        self.bands = mel_bands // patch
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, patch, patch, bias=False)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        self.post_extract_proj = nn.Linear(config.embed_dim, config.encoder_embed_dim)
        self.encoder = Encoder(config)
        self.apply(_as_linear)
        for block in self.encoder.blocks:
            _as_deep_norm(block, (8 * config.encoder_layers) ** -0.25)

    @classmethod
    def load(cls, path: str | Path) -> Beats:
        """From an official checkpoint or one of PretrainedSED, without classifiers and heads."""
        config, state = _parts(weights.load_checkpoint(path), path)
        with weights.skeleton():
            network = cls(config)
        state = {k: v for k, v in state.items() if not k.startswith("predictor.")}
        weights.fill(network, state, path)
        return network

    @property
    def depth(self) -> int:
        return len(self.encoder.layers)

    @property
    def width(self) -> int:
        return self.config.encoder_embed_dim

    def tokens(self, fbank: Tensor) -> Tensor:
        """What enters the first block."""
        patches = self.patch_embedding(fbank.unsqueeze(1)).flatten(2).mT
        x = self.post_extract_proj(self.layer_norm(patches))
        return self.encoder.layer_norm(x + self.encoder.pos_conv[0](x))

    def bias(self, count: int) -> Tensor:
        """(head, query, key): the position bias of `count` tokens."""
        table = self.encoder.blocks[0].self_attn.relative_attention_bias
        key = count, table.weight.device
        if key not in self._buckets:
            buckets = bucket(count, self.config.num_buckets, self.config.max_distance)
            self._buckets = {key: buckets.to(key[1])}
        return table(self._buckets[key]).permute(2, 0, 1)

    def forward(self, fbank: Tensor, adapters: nn.ModuleList | None = None) -> Tensor:
        """All blocks."""
        return PartialForward(self, fbank, adapters).to(self.depth)


class PartialForward:
    """A batch on its way through the blocks, to one of them at a time.

    `tokens` may be replaced between blocks. `gradient` scales the gradient at each block's input,
    `drop` is the probability with which a block is left out (both only where gradients flow);
    `save_memory` computes blocks again in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        beats: Beats,
        fbank: Tensor,
        adapters: nn.ModuleList | None = None,
        *,
        gradient: float = 1.0,
        drop: float = 0.0,
        save_memory: bool = False,
    ) -> None:
        self.beats = beats
        self.adapters = adapters
        self.done = 0
        self.gradient = gradient
        self.drop = drop
        self.save_memory = save_memory
        self.depth = beats.depth
        self.tokens = beats.tokens(fbank)
        self.bias = beats.bias(self.tokens.shape[1])

    def to(self, block: int) -> Tensor:
        """The tokens after `block` blocks."""
        while self.done < block:
            layer = self.beats.encoder.blocks[self.done]
            adapter = self.adapters[self.done] if self.adapters is not None else None
            self.done += 1
            training = torch.is_grad_enabled()
            if training and self.drop and float(torch.rand(())) < self.drop:
                continue
            x = self.tokens
            if training and self.gradient != 1.0 and x.requires_grad:
                x = x * self.gradient + x.detach() * (1 - self.gradient)
            if training and self.save_memory:
                self.tokens = checkpoint(layer, x, self.bias, adapter, use_reentrant=False)
            else:
                self.tokens = layer(x, self.bias, adapter)
        return self.tokens


class CachedLayers:
    """The tokens of a walk somebody else took, by block."""

    def __init__(self, tokens: Mapping[int, Tensor]) -> None:
        self.tokens = tokens

    def to(self, block: int) -> Tensor:
        return self.tokens[block]


def bucket(count: int, buckets: int, farthest: int) -> Tensor:
    """(query, key): the bucket of each distance; one half for keys ahead, near distances apiece."""
    place = torch.arange(count)
    distance = place[None] - place[:, None]
    half, far = buckets // 2, distance.abs()
    near = half // 2
    share = torch.log(far.clamp(min=1).float() / near) / math.log(farthest / near)
    coarse = (near + (share * (half - near)).long()).clamp(max=half - 1)
    return half * (distance > 0) + torch.where(far < near, far, coarse)


def _as_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _as_deep_norm(block: Block, beta: float) -> None:
    attention = block.self_attn
    for layer in (attention.q_proj, attention.k_proj):
        nn.init.xavier_normal_(layer.weight)
    for layer in (attention.v_proj, attention.out_proj, block.fc1, block.fc2):
        nn.init.xavier_normal_(layer.weight, gain=beta)
