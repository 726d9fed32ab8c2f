"""MTDA-HSED: adapters in the blocks of BEATs, and its tokens joined to the CNN's maps (DBMF)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ...networks import adapters
from ...networks.beats import CachedLayers, PartialForward
from ...networks.fusion import Fusion
from ...networks.hetero import Source
from ..bases.heterogeneous import method as heterogeneous
from .settings import Settings


class Method(heterogeneous.Method):
    """The losses are the base's; what changes is what student and teacher are made of."""

    settings: Settings

    def build(self, **more: Any) -> dict[str, nn.Module]:
        s, depth = self.settings, self.settings.encoder.depth
        stages = dict(s.dbmf.stages) if s.dbmf.use else {}
        fusions = [self._fusion(block) for block in stages]
        inside = [self._adapter() for _ in range(depth)] if s.adapter.kind != "none" else []
        return super().build(stages=stages, fusions=fusions, adapters=inside, **more)

    def _fusion(self, block: int) -> Fusion:
        """Where the tokens join the map behind a block of the CNN."""
        network, encoder, dbmf = self.settings.network, self.settings.encoder, self.settings.dbmf
        return Fusion(
            encoder.width,
            network.filters[block],
            operation=dbmf.operation,
            back=dbmf.back,
            bands=encoder.bands,
            momentum=network.batch_norm_momentum,
        )

    def _adapter(self) -> nn.Module:
        """What is trained in a block of the frozen transformer."""
        adapter, encoder = self.settings.adapter, self.settings.encoder
        assert adapter.kind != "none"
        return adapters.build(
            adapter.kind,
            encoder.width,
            bands=encoder.bands,
            **adapter.model_dump(exclude={"kind", "rate"}),
        )

    def param_groups(self) -> list[dict[str, Any]]:
        """Adapters learn more slowly than the rest."""
        rate, student = self.settings.training.learning_rate, self.network("student")
        inside = list(student.adapters.parameters()) if student.adapters is not None else []
        known = {id(parameter) for parameter in inside}
        rest = [p for p in student.parameters() if id(p) not in known]
        groups = [{"params": rest, "lr": rate}]
        if inside:
            groups.append({"params": inside, "lr": rate * self.settings.adapter.rate})
        return groups

    def shared_encoding(self, values: Tensor) -> Tensor | CachedLayers:
        """What both can share: all but the blocks that something of their own enters."""
        s = self.settings
        if s.adapter.kind != "none" or s.dbmf.back:
            return self.frozen.spectrum(values)
        if s.dbmf.use:
            return self.cached_layers(values, [block for _, block in s.dbmf.stages])
        return super().shared_encoding(values)

    def source(self, model: str, encoding: Tensor | CachedLayers) -> Source:
        encoder = self.settings.encoder
        if encoder.cached or isinstance(encoding, CachedLayers):
            return encoding
        return PartialForward(
            self.beats,
            encoding,
            self.network(model).adapters,
            gradient=encoder.gradient,
            drop=encoder.drop,
            save_memory=encoder.save_memory,
        )

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also what M3A's branches add in the teacher's last block, on the tokens' grid."""
        outputs: dict[str, Tensor] = {}
        inside = self.network("teacher").adapters
        last = inside[-1] if inside is not None else None
        branches = ("long", "short") if isinstance(last, adapters.M3a) else ()
        hooks = [
            branch.register_forward_hook(_keeper(outputs, name))
            for name in branches
            if (branch := getattr(last, name)) is not None
        ]
        maps = super().explain(inputs)
        for hook in hooks:
            hook.remove()
        for name, values in outputs.items():
            added = values.float().abs().mean(-1)
            maps[name] = added.unflatten(-1, (-1, self.settings.encoder.bands)).mT
        return maps


def _keeper(outputs: dict[str, Tensor], name: str) -> Callable[..., None]:
    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        outputs[name] = output

    return keep
