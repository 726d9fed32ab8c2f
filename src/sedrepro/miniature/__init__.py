"""The miniature's raw data: look-alike recordings rendered in the layout of the real archives."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import SedreproError

if TYPE_CHECKING:
    from ..settings import Project
    from ..sources.registry import Registry

# The module that renders each resource; imported only when one is rendered.
RENDERS = {
    "desed_metadata": "desed",
    "desed_weak": "desed",
    "desed_unlabelled": "desed",
    "desed_validation": "desed",
    "desed_public_eval": "desed",
    "desed_soundbank": "desed",
    "desed_strong_real": "desed",
    "maestro_audio": "maestro",
    "maestro_annotation": "maestro",
    "maestro_durations": "maestro",
    "beats": "weights",
    "atst_frame": "weights",
    "audioclip": "weights",
    "fsdkaggle2018": "snr_mix",
    "tau2019": "snr_mix",
    "tut2018": "snr_mix",
    "ave_annotations": "ave",
    "ave_orders": "ave",
    "ave_videos": "ave",
    "ave_negatives": "ave",
}


def obtain(resource: str, project: Project, known: Registry | None = None) -> dict[str, Any]:
    """Leave a resource's raw files in place and return its status: fetched, or rendered here."""
    from ..sources import fetch, registry

    known = known or registry.load()
    own = registry.local(project.data, known[resource].corpus)
    if project.data.origin != "render" or own:
        return fetch.obtain(resource, project, known)
    made = render(resource, project)
    return fetch.status_of(resource, "ok", "rendered", made["files"], made["bytes"])


def render(resource: str, project: Project) -> dict[str, int]:
    """Render a resource where its download would lie; finished ones are left as they are.

    Returns the number of files and bytes.
    """
    if resource not in RENDERS:
        raise SedreproError(
            f"{resource}: the miniature does not render this; it renders {', '.join(RENDERS)}"
        )
    return import_module(f"{__name__}.{RENDERS[resource]}").render(resource, project)
