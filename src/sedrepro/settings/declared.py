"""What sedrepro can do: every kind of thing a paper may name, and the function that does its work.

Reading this module is reading what there is. It imports nothing, so that names can be checked
while planning; the work is named as `package.module:function` and imported when it is called for.
A new metric family, figure, kind of front end or corpus is a function and one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


def resolve(path: str) -> Any:
    """What an import path names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


# --- metric families: what a held-out set may ask for ---------------------------------------------

OWN = "sedrepro"
STRICT = "sedrepro (strict)"
PACKAGES = ("psds_eval", "sed_scores_eval", "sed_eval")
"""Implementations of others; they are not run on last checkpoints."""
PSDS = ("psds_eval", "sed_scores_eval", OWN)

Implementations = Mapping[str, tuple[str, ...]]
"""Who computes a metric, by metric."""


@dataclass(frozen=True)
class MetricFamily:
    """Metrics that are computed together from the same scores."""

    measure: str
    """From stored scores to values with intervals, after training."""
    judge: str
    """From scores in memory to the values that choose a checkpoint, during it."""
    selects: tuple[str, ...]
    """The metrics `judge` gives."""
    reads: tuple[str, ...]
    """The named scores that a method must give."""
    gives: Implementations
    by_class: Implementations = field(default_factory=dict)
    """Metrics that have a value per class."""
    more_classes: tuple[str, ...] = ()
    """What has a class's value without being one of the run's classes."""


METRICS: dict[str, MetricFamily] = {
    "sed": MetricFamily(
        measure="sedrepro.evaluation.sed:measure",
        judge="sedrepro.training.selection:judge_events",
        selects=("intersection_f1",),
        reads=("frame",),
        gives={
            "psds1": PSDS,
            "psds2": PSDS,
            "delta_psds1": PSDS,
            "delta_psds2": PSDS,
            "intersection_f1": ("psds_eval", STRICT),
            "event_f1": ("sed_eval", OWN),
            "event_f1_micro": ("sed_eval", OWN),
            "segment_f1": ("sed_eval", OWN),
            "segment_f1_micro": ("sed_eval", OWN),
            "weak_f1": (OWN,),
        },
        by_class={"event_f1": ("sed_eval",)},
    ),
    "tags": MetricFamily(
        measure="sedrepro.evaluation.tags:measure",
        judge="sedrepro.training.selection:judge_tags",
        selects=("weak_f1",),
        reads=("clip",),
        gives={"weak_f1": (OWN,)},
    ),
    "desed_tags": MetricFamily(
        measure="sedrepro.evaluation.tags:measure_desed",
        judge="sedrepro.training.selection:judge_desed_tags",
        selects=("weak_f1",),
        reads=("clip_desed",),
        gives={"weak_f1": (OWN,)},
    ),
    "tagging": MetricFamily(
        measure="sedrepro.evaluation.tagging:measure",
        judge="sedrepro.training.selection:judge_tagging",
        selects=("micro_ap",),
        reads=("clip",),
        gives={
            "micro_ap": (OWN,),
            "macro_ap": (OWN,),
            "macro_auc": (OWN,),
            "classes_ranked": (OWN,),
            "micro_ap_chance": (OWN,),
            "frame_f1": (OWN,),
            "frame_precision": (OWN,),
            "frame_recall": (OWN,),
            "frame_ap": (OWN,),
            "frame_auc": (OWN,),
        },
        by_class={"ap": (OWN,)},
    ),
    "maestro": MetricFamily(
        measure="sedrepro.evaluation.maestro:measure",
        judge="sedrepro.training.selection:judge_maestro",
        selects=("segment_f1_best",),
        reads=("frame",),
        gives={
            "mpauc": (OWN, "sed_scores_eval"),
            "mauc": (OWN,),
            "segment_f1_best": (OWN, "sed_scores_eval"),
        },
        by_class={"pauc": (OWN,)},
    ),
    "segments": MetricFamily(
        measure="sedrepro.evaluation.segments:measure",
        judge="sedrepro.training.selection:judge_segments",
        selects=("segment_accuracy",),
        reads=("frame",),
        gives={
            "segment_accuracy": (OWN,),
            "event_segment_accuracy": (OWN,),
            "partial_accuracy": (OWN,),
            "video_accuracy": (OWN,),
            "event_background_f1": (OWN,),
            "oracle_always_event": (OWN,),
            "oracle_always_background": (OWN,),
            "oracle_uniform": (OWN,),
            "mismatched_accuracy": (OWN,),
            "hard_accuracy": (OWN,),
            "pointing": (OWN,),
            "pointing_chance": (OWN,),
        },
        by_class={"class_accuracy": (OWN,)},
        more_classes=("background",),
    ),
}


# --- figures: what a paper may list ---------------------------------------------------------------


@dataclass(frozen=True)
class FigureKind:
    """A figure that can be drawn of a paper's runs."""

    draw: str
    needs: tuple[str, ...] = ()
    """Metrics of which the paper's sets must give one; none: it is drawn from other things."""


FIGURES: dict[str, FigureKind] = {
    "training_curves": FigureKind("sedrepro.reporting.figures.curves:training_curves"),
    "psd_roc": FigureKind("sedrepro.reporting.figures.curves:psd_roc", ("psds1", "psds2")),
    "class_bars": FigureKind(
        "sedrepro.reporting.figures.classes:class_bars", ("event_f1", "ap", "pauc")
    ),
    "timelines": FigureKind("sedrepro.reporting.figures.timelines:timelines"),
    "adapters": FigureKind("sedrepro.reporting.figures.branches:adapters"),
    "aggregation": FigureKind("sedrepro.reporting.figures.branches:aggregation"),
    "segment_bars": FigureKind("sedrepro.reporting.figures.branches:segment_bars", ("pauc",)),
    "agreement": FigureKind("sedrepro.reporting.figures.activity:agreement"),
    "activity_confusion": FigureKind("sedrepro.reporting.figures.activity:activity_confusion"),
    "activity_timelines": FigureKind("sedrepro.reporting.figures.activity:activity_timelines"),
    "checkpoint_bars": FigureKind(
        "sedrepro.reporting.figures.activity:checkpoint_bars", ("psds1", "psds2", "event_f1")
    ),
    "metric_over_snr": FigureKind(
        "sedrepro.reporting.figures.tagging:metric_over_snr", ("micro_ap",)
    ),
    "published_bars": FigureKind(
        "sedrepro.reporting.figures.tagging:published_bars", ("micro_ap",)
    ),
    "alpha_curve": FigureKind("sedrepro.reporting.figures.tagging:alpha_curve", ("micro_ap",)),
    "class_dots": FigureKind("sedrepro.reporting.figures.tagging:class_dots", ("ap",)),
    "attention_panel": FigureKind("sedrepro.reporting.figures.tagging:attention_panel"),
    "reconstruction_panel": FigureKind("sedrepro.reporting.figures.tagging:reconstruction_panel"),
    "mixture_at_snrs": FigureKind("sedrepro.reporting.figures.tagging:mixture_at_snrs"),
    "qualitative": FigureKind("sedrepro.reporting.figures.videos:qualitative"),
    "confusion": FigureKind("sedrepro.reporting.figures.videos:confusion", ("segment_accuracy",)),
    "by_duration": FigureKind(
        "sedrepro.reporting.figures.videos:by_duration", ("segment_accuracy",)
    ),
    "strips": FigureKind("sedrepro.reporting.figures.videos:strips", ("segment_accuracy",)),
}


# --- front ends: what a network may read ----------------------------------------------------------


@dataclass(frozen=True)
class FrontEndKind:
    """How stores of one kind of front end are made."""

    work: str
    weights: str = ""
    """The resource of the frozen network that makes them; empty: they are computed without one."""
    of_waveforms: bool = False
    """Whether the network reads a store of waveforms, and not the recordings."""


FRONT_ENDS: dict[str, FrontEndKind] = {
    "mel": FrontEndKind("sedrepro.features.kinds:MEL"),
    "stft_logmel": FrontEndKind("sedrepro.features.kinds:STFT_LOGMEL"),
    "waveform": FrontEndKind("sedrepro.features.kinds:WAVEFORM"),
    "vgg_visual": FrontEndKind("sedrepro.features.segments:RELEASED"),
    "vgg_audio": FrontEndKind("sedrepro.features.segments:RELEASED"),
    "audioclip_visual": FrontEndKind(
        "sedrepro.inference.frozen:AUDIOCLIP_VISUAL", weights="audioclip"
    ),
    "audioclip_audio": FrontEndKind(
        "sedrepro.inference.frozen:AUDIOCLIP_AUDIO", weights="audioclip"
    ),
    "frames": FrontEndKind("sedrepro.features.segments:FRAMES"),
    "segment_logmel": FrontEndKind("sedrepro.features.segments:SEGMENT_LOGMEL"),
    "beats": FrontEndKind("sedrepro.inference.frozen:TOKENS", weights="beats", of_waveforms=True),
    "atst_frame": FrontEndKind(
        "sedrepro.inference.frozen:TOKENS", weights="atst_frame", of_waveforms=True
    ),
}


# --- corpora: where clips may come from -----------------------------------------------------------


@dataclass(frozen=True)
class CorpusKind:
    """A corpus, and what describes one of its subsets as clips, events and audit."""

    adapt: str | None = None
    """None: it has no subsets of its own, it is material for others."""
    mixed: bool = False
    """Its clips are mixed from other corpora: no resource carries them."""


CORPORA: dict[str, CorpusKind] = {
    "desed": CorpusKind("sedrepro.sources.desed:adapt"),
    "desed_soundbank": CorpusKind(),
    "maestro": CorpusKind("sedrepro.sources.maestro:adapt"),
    "fsdkaggle2018": CorpusKind(),
    "tau2019": CorpusKind(),
    "tut2018": CorpusKind(),
    "snr_mix": CorpusKind(mixed=True),
    "ave": CorpusKind("sedrepro.sources.ave:adapt"),
    "weights": CorpusKind(),
    "released": CorpusKind(),
}
