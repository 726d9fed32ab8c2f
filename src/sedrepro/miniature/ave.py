"""A look-alike of AVE ("ToyAVE"): mp4 videos in which things are heard and seen, not always both.

A category is a sound and a look, fixed to each other. Sound and sight have their own intervals, and
some videos pair a sound with another category's look: neither alone tells where the event is.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import write_text
from ..settings import Layout, Project
from ..sources import ave, video
from . import rendering, shapes, timbres

VERSION = 1  # raise it when a picture or a sound changes, so that rendered data is renewed
RATE, PIXELS = 4, 56
SECONDS = ave.SECONDS
STREAM = {"train": 31, "validation": 32, "test": 33, ave.NEGATIVES: 34}
# Of twenty videos, how many pair sound and sight in each way.
MODES = ["full"] * 10 + ["short_sound"] * 3 + ["short_sight"] * 3 + ["shifted"] * 2
MODES += ["mismatched"] * 2
SHORTEST = 2  # seconds of an event, as in AVE
FOREIGN = 0.3  # of the videos in which the sight outlasts the sound, another sound is put there


@dataclass(frozen=True)
class Video:
    """A plan: the category heard and seen in each second, -1 where none is."""

    name: str
    category: int
    mode: str
    heard: tuple[int, ...]
    seen: tuple[int, ...]
    seed: tuple[int, ...]

    @property
    def event(self) -> tuple[int, int]:
        """Start and end of what is heard and seen at once; 0 and 0 if there is nothing."""
        both = [t for t in range(SECONDS) if self.heard[t] == self.seen[t] == self.category]
        return (both[0], both[-1] + 1) if both else (0, 0)


def plan(subset: str, project: Project) -> list[Video]:
    """Every video of a subset, without a picture: categories and modes take turns."""
    look, classes = project.data.look, len(project.data.ave.classes)
    count = look.videos.get(subset, 0)
    draw = np.random.default_rng([look.seed, STREAM[subset]])
    modes = [MODES[index % len(MODES)] for index in range(count)]
    draw.shuffle(modes)
    categories = [index % classes for index in range(count)]
    draw.shuffle(categories)
    return [
        _video(subset, index, category, mode, classes, look.seed)
        for index, (category, mode) in enumerate(zip(categories, modes, strict=True))
    ]


def _video(subset: str, index: int, category: int, mode: str, classes: int, seed: int) -> Video:
    draw = np.random.default_rng([seed, STREAM[subset], index])
    name = "".join(draw.choice(list(string.ascii_letters + string.digits + "_"), 11))
    other = int((category + draw.integers(1, classes)) % classes)
    heard, seen = [category] * SECONDS, [category] * SECONDS
    if subset == ave.NEGATIVES:  # something is heard, or seen, or both, and they do not belong
        mode = ("mismatched", "only heard", "only seen")[index % 3]
    if mode == "mismatched":
        seen = [other] * SECONDS
    elif mode == "only heard":
        seen = [-1] * SECONDS
    elif mode == "only seen":
        heard = [-1] * SECONDS
    elif mode != "full":
        first, last = _interval(draw)
        short = {"short_sound": [heard], "short_sight": [seen]}.get(mode, [])
        for silent in short:
            silent[:first] = [-1] * first
            silent[last:] = [-1] * (SECONDS - last)
        if mode == "shifted":
            length = last - first
            before = int(draw.integers(1, SECONDS - length)) if length < SECONDS - 1 else 1
            heard[before + length :] = [-1] * (SECONDS - before - length)
            seen[:before] = [-1] * before
    if draw.random() < FOREIGN and subset != ave.NEGATIVES:
        heard = [other if h == -1 and s != -1 else h for h, s in zip(heard, seen, strict=True)]
    return Video(name, category, mode, tuple(heard), tuple(seen), (seed, STREAM[subset], index))


def _interval(draw: np.random.Generator) -> tuple[int, int]:
    """Whole seconds, at least SHORTEST and less than all."""
    length = int(draw.integers(SHORTEST + 1, SECONDS))
    first = int(draw.integers(0, SECONDS - length + 1))
    return first, first + length


def listed(project: Project) -> dict[str, list[Video]]:
    """The annotated videos by subset, in the order of Annotations.txt."""
    return {subset: plan(subset, project) for subset in ave.ORDERS}


def table(project: Project) -> str:
    """Annotations.txt: all videos, sorted by category as the real one is."""
    classes = project.data.ave.classes
    lines = []
    for made in _sorted(project):
        start, end = made.event
        lines.append(f"{classes[made.category]}&{made.name}&good&{start}&{end}")
    return "\n".join(lines) + "\n"


def _sorted(project: Project) -> list[Video]:
    together = [made for videos in listed(project).values() for made in videos]
    return sorted(together, key=lambda made: (made.category, made.name))


def _annotations(project: Project, top: Path) -> dict[str, int]:
    text = table(project)
    write_text(top / ave.ANNOTATIONS, text)
    return {"files": 1, "bytes": len(text)}


def _orders(project: Project, top: Path) -> dict[str, int]:
    import h5py

    place = {made.name: index for index, made in enumerate(_sorted(project))}
    size = 0
    for subset, videos in listed(project).items():
        path = top / f"data/{ave.ORDERS[subset]}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["order"] = np.array(sorted(place[made.name] for made in videos), np.int64)
        size += path.stat().st_size
    return {"files": len(ave.ORDERS), "bytes": size}


def _recipe(resource: str, project: Project) -> dict:
    look = project.data.look
    counts = {"videos": look.videos, "classes": project.data.ave.classes}
    return {"resource": resource, "version": VERSION, "seed": look.seed, **counts}


def _videos(project: Project, top: Path) -> dict[str, int]:
    def fill(folder: Path) -> None:
        (folder / "AVE").mkdir()
        lines = ["video\tsegment\theard\tseen\tleft\ttop\tright\tbottom"]
        for made in _sorted(project):
            boxes = write(made, folder / "AVE" / f"{made.name}.mp4")
            for t in range(SECONDS):
                corners = "\t".join(f"{value:.4f}" for value in boxes[t])
                lines.append(f"{made.name}\t{t}\t{made.heard[t]}\t{made.seen[t]}\t{corners}")
        write_text(folder / Path(ave.TRUTH).name, "\n".join(lines) + "\n")
        heading = "Category&VideoID&Quality&StartTime&EndTime\n"
        write_text(folder / "Annotations.txt", heading + table(project))

    return rendering.folder(top / Path(ave.VIDEOS).parent, _recipe("ave_videos", project), fill)


def _negatives(project: Project, top: Path) -> dict[str, int]:
    def fill(folder: Path) -> None:
        for made in plan(ave.NEGATIVES, project):
            write(made, folder / f"{made.name}.mp4")

    return rendering.folder(top / ave.NEGATIVE_VIDEOS, _recipe("ave_negatives", project), fill)


def write(made: Video, path: Path) -> np.ndarray:
    """Render a video; returns the box of the object in the middle of each second.

    Boxes are (second, 4): left, top, right, bottom as shares of the picture, 0 where nothing is.
    """
    draw = np.random.default_rng([*made.seed, 1])
    frames, boxes = shapes.film(draw, made.seen, rate=RATE, pixels=PIXELS)
    video.write(path, frames, RATE, timbres.track(draw, made.heard), timbres.RATE)
    return boxes


_RENDERERS: dict[str, Callable[[Project, Path], dict[str, int]]] = {
    "ave_annotations": _annotations,
    "ave_orders": _orders,
    "ave_videos": _videos,
    "ave_negatives": _negatives,
}
RESOURCES = tuple(_RENDERERS)


def render(resource: str, project: Project) -> dict[str, int]:
    """Render one of RESOURCES where its download would lie; returns files and bytes."""
    return _RENDERERS[resource](project, Path(Layout.of(project).raw("ave")))
