"""Settings of MTDA-HSED; the shell is the DCASE 2024 baseline's, the modules are reconstructed."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ...settings import Block, PaperSettings
from ...settings.blocks import Count, Positive, Share
from ..bases.heterogeneous import settings as heterogeneous
from .atst_sed import settings as atst_sed


class Encoder(heterogeneous.Encoder):
    """The pre-trained transformer, whose blocks may be entered."""

    gradient: Share = Field(
        1.0, description="factor of the gradient at each block's input (pre-training: 0.6)"
    )
    drop: Share = Field(0.0, description="probability to leave a block out (pre-training: 0.05)")
    save_memory: bool = Field(
        True, description="compute its blocks again in the backward pass instead of keeping them"
    )


class Adapter(Block):
    """A small trained module in each block of the frozen transformer."""

    kind: Literal["none", "m3a", "mona", "houlsby", "act_net"] = Field(
        "none", description="which one; act_net is reconstructed"
    )
    long: int = Field(1536, ge=0, description="m3a: width of the long-term branch; 0: none")
    short: int = Field(192, ge=0, description="m3a: width of the short-term branch; 0: none")
    competitors: Literal["tokens", "channels"] = Field(
        "tokens",
        description="m3a: among what the short-term branch's softmax shares out; its axis is not "
        "known. Shares are scaled to a mean of 1, else the branch adds next to nothing",
    )
    scale: float = Field(1.0, description="m3a: factor of both branches")
    parallel: bool = Field(True, description="m3a: beside the feed-forward layer, or behind it")
    inner: Count = Field(64, description="mona, houlsby, act_net: width of the bottleneck")
    dropout: Share = Field(0.1, description="mona, houlsby: in the bottleneck")
    rate: Positive = Field(0.1, description="learning rate of the adapters over the network's")

    @model_validator(mode="after")
    def _some_branch(self) -> Adapter:
        if self.kind == "m3a" and not (self.long or self.short):
            raise ValueError("m3a needs a long or a short branch")
        return self


class Dbmf(Block):
    """Dual-branch mid-fusion: the transformer's tokens join the CNN's maps."""

    use: bool = Field(False, description="whether there is any")
    stages: list[tuple[int, Count]] = Field(
        [(2, 4), (3, 8), (4, 12)], description="CNN block (from 0) and transformer block (from 1)"
    )
    operation: Literal["add", "gated_add", "concat1x1"] = Field(
        "gated_add", description="how they join"
    )
    back: bool = Field(False, description="the CNN's maps join the tokens too")

    @model_validator(mode="after")
    def _in_order(self) -> Dbmf:
        for one, other in zip(self.stages, self.stages[1:], strict=False):
            if not (one[0] < other[0] and one[1] < other[1]):
                raise ValueError("stages must go upwards in both branches")
        return self


class Settings(heterogeneous.Settings):
    """What a row of MTDA-HSED may change."""

    methods: ClassVar[dict[str, type[PaperSettings]]] = {"atst_sed": atst_sed.Settings}

    encoder: Encoder = Field(default_factory=Encoder, description="the pre-trained transformer")
    adapter: Adapter = Field(default_factory=Adapter, description="adapters in its blocks")
    dbmf: Dbmf = Field(default_factory=Dbmf, description="mid-fusion")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if (self.adapter.kind != "none" or self.dbmf.use) and self.encoder.cached:
            raise ValueError("encoder.cached must be off where its blocks are entered")
        if self.dbmf.use and self.dbmf.stages:
            block, layer = self.dbmf.stages[-1]
            if block >= len(self.network.filters) or layer > self.encoder.depth:
                raise ValueError(
                    f"dbmf.stages end at {[block, layer]}: there are {len(self.network.filters)} "
                    f"CNN blocks (from 0) and {self.encoder.depth} transformer blocks"
                )
        return self
