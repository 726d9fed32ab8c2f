"""The figures, by the name papers list them under; one process draws all of a paper's."""

from __future__ import annotations

from pathlib import Path

from ...settings import Layout, Project
from ..sealing import seal
from . import activity, branches, style, tagging, videos
from .classes import class_bars
from .curves import psd_roc, training_curves
from .material import Material, MissingError
from .timelines import timelines

FIGURES = {
    "training_curves": training_curves,
    "psd_roc": psd_roc,
    "class_bars": class_bars,
    "timelines": timelines,
    **{
        figure.__name__: figure
        for figure in (
            branches.adapters,
            branches.aggregation,
            branches.segment_bars,
            activity.agreement,
            activity.activity_confusion,
            activity.activity_timelines,
            activity.checkpoint_bars,
            tagging.metric_over_snr,
            tagging.published_bars,
            tagging.alpha_curve,
            tagging.class_dots,
            tagging.attention_panel,
            tagging.reconstruction_panel,
            tagging.mixture_at_snrs,
            videos.qualitative,
            videos.confusion,
            videos.by_duration,
            videos.strips,
        )
    },
}


def draw(project: Project, paper: str, layout: Layout, root: str | Path = ".") -> None:
    """Every figure the paper lists, as PNG and SVG; what lacks its data is a panel that says so."""
    material = Material(project, paper, layout)
    for name in project.papers[paper].figures:
        try:
            if name not in FIGURES:
                raise MissingError(f"no function draws {name!r}; figures are {', '.join(FIGURES)}")
            made = FIGURES[name](material)
        except MissingError as missing:
            made = style.notice(f"{name.replace('_', ' ').capitalize()}: {missing}.")
        style.save(made, layout.figure(paper, name, "png"), layout.figure(paper, name, "svg"))
    files = [
        layout.figure(paper, name, form)
        for name in project.papers[paper].figures
        for form in ("png", "svg")
    ]
    seal(f"figures/{paper}", files, project, [paper], material.records, layout, root)
