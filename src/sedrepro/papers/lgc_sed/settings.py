"""Settings of LGC-SED; a row changes what it names, everything else is the paper's."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from ...settings import Block, HeldOut, Subset
from ...settings.blocks import Count, Positive, Share
from ..bases.mean_teacher import settings as mean_teacher


class Network(mean_teacher.Crnn):
    """The DCASE CRNN with a projector."""

    projection: Count = Field(128, description="dimension of the projected frames")


class Clc(Block):
    """Local consistency: CutMix of inputs and of the teacher's frame predictions (CLC)."""

    use: bool = Field(True, description="whether the loss is used")
    ratio: tuple[Share, Share] = Field((0.2, 0.5), description="share of the clip that is pasted")


class Pgc(Block):
    """Global consistency: contrast against class prototypes (PGC).

    Its anchors are frames of the student's CutMix pass, or of its clean pass where CLC is off.
    """

    use: bool = Field(True, description="whether the loss is used")
    start_epoch: int = Field(
        100, ge=0, description="epoch (from 0) at whose end the prototypes are initialised"
    )
    prototypes: Count = Field(3, description="prototypes per class")
    kmeans_starts: Count = Field(10, description="restarts of the K-means that initialises them")
    kmeans_seed: int = Field(42, description="its seed, whatever the run's")
    confident: Share = Field(
        0.9, description="a frame belongs to a class from here on: prototypes, anchors, positives"
    )
    background: Share = Field(
        0.1, description="a frame forms background prototypes when every class is below this"
    )
    uncertain: Share = Field(
        0.5, description="anchors: the student is below this where the teacher is confident"
    )
    momentum: Share = Field(0.996, description="moving average of the prototypes")
    temperature: Positive = Field(0.1, description="of the contrast")
    weight: Positive = Field(0.1, description="weight of the loss")


class Ict(Block):
    """Interpolation consistency: the student's scores of mixed unlabelled clips are the mixed
    scores the teacher gives them."""

    use: bool = Field(False, description="whether the loss is used")
    alpha: Positive = Field(1.0, description="Beta(alpha, alpha) of the ratio")


class Sct(Block):
    """Shift consistency: the student's scores of shifted clips are the teacher's, shifted."""

    use: bool = Field(False, description="whether the loss is used")
    deviation: Positive = Field(
        22.5, description="standard deviation of the circular shift, network frames"
    )


class Audio(Block):
    """Audio augmentations of what the student sees: FilterAugment and a silent interval."""

    use: bool = Field(False, description="whether they are used")
    decibels: tuple[float, float] = Field((-6.0, 6.0), description="gains of the bands, dB")
    bands: tuple[Count, Count] = Field((3, 5), description="fewest and most bands")
    masked: tuple[Share, Share] = Field((0.05, 0.2), description="share of the clip in silence")


class Settings(mean_teacher.Settings):
    """What a row of LGC-SED may change."""

    front_end: str = Field("mel128", description="the front end of the spectra")
    network: Network = Field(default_factory=Network, description="the network")
    clc: Clc = Field(default_factory=Clc, description="local consistency")
    pgc: Pgc = Field(default_factory=Pgc, description="global consistency")
    ict: Ict = Field(default_factory=Ict, description="interpolation consistency")
    sct: Sct = Field(default_factory=Sct, description="shift consistency")
    audio: Audio = Field(default_factory=Audio, description="audio augmentations")
    select_on: Literal["synth", "real", "last"] = Field(
        "synth",
        description="the checkpoint with the teacher's best intersection F1 on the synthetic "
        "validation set (leak-free) or on the real one (which is also reported on), or the last",
    )

    def held_out(self) -> list[HeldOut]:
        """Tags of the weak set have no part in the selection."""
        real, public_eval = self.reported()
        if self.select_on == "real":
            return [replace(real, selects=True), public_eval]
        if self.select_on == "last":
            return [real, public_eval]
        synth = Subset("desed", "synth_validation")
        chosen = HeldOut("synth_validation", synth, self.inputs, selects=True, reports=False)
        return [real, public_eval, chosen]

    def selection(self) -> list[str]:
        return [
            f"{held_out.name}/teacher/intersection_f1"
            for held_out in self.held_out()
            if held_out.selects
        ]
