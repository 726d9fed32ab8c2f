"""Clips that are only on YouTube: asked for until each is there, or gone for a reason that lasts.

yt-dlp fetches the best audio as it is, PyAV cuts it (its wheel brings ffmpeg's libraries; no
`ffmpeg` program is needed). What another resource holds is linked and not asked for.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import SedreproError
from ..files import full_disk, read_json
from ..settings import Layout
from .arrival import Arrival
from .clips import Clip, listed
from .errand import Errand, Outcome, State
from .ledger import CLIPS, Ledger
from .unpack import place


def collect(errand: Errand) -> Outcome:
    """Fetch what is still missing of a resource's clips; say how many there are."""
    clips = errand.resource.clips
    assert clips is not None
    table, folder = errand.raw / clips.table, errand.raw / clips.folder
    if not table.exists():
        needed = ", ".join(errand.resource.after) or errand.name
        if unasked := [name for name in errand.resource.after if not _status(errand, name)]:
            raise SedreproError(
                f"{errand.name}: the list {table} is not there; first `sedrepro fetch {unasked[0]}`"
            )
        return Outcome(clips.folder, "absent", f"the list {table} is not there; see {needed}")
    every = listed(table)
    shared, still = _linked(errand, every, folder)
    own = [clip for clip in every if clip.file not in shared]
    ledger = Ledger(errand.downloads / CLIPS)
    with full_disk(folder), ledger:
        arrival = Arrival(errand, own, folder, ledger)
        left = arrival.run() + still
    missing = [clip for clip in every if not (folder / clip.file).exists()]
    sizes = [p.stat().st_size for clip in every if (p := folder / clip.file).exists()]
    copied, copies = arrival.copied(), clips.mirror.url if clips.mirror else ""
    reason = f"{len(sizes):,} of {len(every):,} clips are there" if missing or copied else ""
    lost = [ledger.count(clip.file for clip in missing if clip.file not in shared)]
    if lacked := sum(clip.file in shared for clip in missing):
        lost.append(f"{lacked:,} that another resource lacks")
    if missing:
        reason += f" ({'; '.join(filter(None, lost))})"
    if copied:
        reason += f"; {copied:,} come from {copies}"
    if left and not (arrival.unreachable and errand.settings.unreachable == "absent"):
        if arrival.late:
            reason += f"; {len(arrival.late):,} as a copy from {copies}"
        reason = (
            f"{len(left):,} of {len(every):,} clips are still arriving: {reason}; "
            f"what was fetched is kept, and clips put by hand into {folder} count"
        )
        return Outcome(clips.folder, "arriving", reason, len(sizes), sum(sizes))
    state: State = "ok" if not missing else "partial" if sizes else "absent"
    return Outcome(clips.folder, state, reason, len(sizes), sum(sizes))


def _linked(errand: Errand, every: list[Clip], folder: Path) -> tuple[set[str], list[Clip]]:
    """Link the clips that other resources bring.

    Returns the names of all clips that are theirs to bring, and the clips they may still bring.
    """
    clips = errand.resource.clips
    assert clips is not None
    shared: set[str] = set()
    still: list[Clip] = []
    for resource in clips.held_by:
        other = errand.known[resource].clips
        assert other is not None
        table = errand.raw / other.table
        names = {clip.file for clip in listed(table)} if table.exists() else set()
        arriving = _status(errand, resource) == "arriving"
        for clip in every:
            if clip.file not in names:
                continue
            shared.add(clip.file)
            source, target = errand.raw / other.folder / clip.file, folder / clip.file
            if source.exists() and not target.exists():
                place(source, target)
            elif not target.exists() and arriving:
                still.append(clip)
    return shared, still


def _status(errand: Errand, resource: str) -> str:
    try:
        return str(read_json(Layout.of(errand.project).status(resource))["status"])
    except FileNotFoundError:
        return ""
