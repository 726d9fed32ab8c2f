"""Clips on their way from YouTube, one video at a time, at the pace of YouTube's policy.

The ledger beside the downloads has a line per attempt, so a job that ends at any moment goes on
where it was.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import re
import tempfile
from collections import deque
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ..files import read_json, write_json
from ..liveness import alive, identity
from ..progress import current
from . import http
from .clips import BYTES_PER_CLIP, Clip, fetch_clip
from .errand import Errand
from .gate import GoneError, RefusedError, TransientError, UnreachableError, moment, tell
from .http import check_space
from .ledger import FINAL, PATIENCE, UNCLEAR, Ledger, Try
from .policies import HOUR
from .session import LONGEST_WAIT
from .ytdlp import HOST, Player, classify, player

YOUTUBE, FOUND = "YouTube", "in the tree"
STREAK = 12
"""After so many videos in a row without sound we ask whether it is YouTube and not them."""
AGAIN = HOUR * 3 / 2
"""Seconds until a video is asked for again that YouTube did not give this time."""
WITNESSES = 8
"""So many of the clips that YouTube gave are asked for, in turn, to see whether it gives."""
OFFLINE = (60.0, 600.0)
"""Seconds to wait for a connection: at first, and at most."""
REPORT = 600.0
"""Seconds between two lines on how far the clips are."""
QUEUE = f"{HOST}.queue"
"""The folder beside the walls in which jobs tell each other what they still want."""


class Arrival:
    """The clips of one resource, on their way.

    A trouble may be YouTube's or a clip's. The next clip tells: when YouTube gives it, the trouble
    is that of the clips before it, and they are *withheld*; so no clip keeps others from coming.
    """

    def __init__(self, errand: Errand, every: list[Clip], folder: Path, ledger: Ledger) -> None:
        self.errand = errand
        self.every = every
        self.folder = folder
        self.ledger = ledger
        self.settings = errand.settings
        self.clock = errand.session.clock
        self.gate = errand.session.gate(HOST)
        self.wall = self.gate.wall()
        clips = errand.resource.clips
        assert clips is not None  # nothing else arrives clip by clip
        self.mirror = clips.mirror if self.settings.mirrors != "none" else None
        self.unreachable = False
        """Whether no connection could be had, so that asking ended."""
        self.late: set[str] = set()
        """What YouTube has no more, and whose copy could not be asked for yet."""
        self._fresh: deque[Clip] = deque()
        self._due: list[tuple[float, int, Clip]] = []
        """Clips to ask for again: when, a number that orders equal times, and the clip."""
        self._failed: list[Clip] = []
        """Those that met a limit or no connection since YouTube last gave something."""
        self._failed_before: set[str] = set()
        self._streak: list[Clip] = []
        """Those that were not given since YouTube last gave something."""
        self._doubted = False
        """Whether the last streak showed that YouTube gives us nothing."""
        self._vain_probes = 0
        self._number = itertools.count()
        self._have: set[str] = set()
        self._failures = self._asked = 0
        self._begun = self._progress = self.clock.steady()
        self._told = self._begun - REPORT
        self._told_of_wall = False
        self._queue = Queue(self.gate.folder / QUEUE, errand.name)
        self._player: Player | None = None

    @property
    def player(self) -> Player:
        if self._player is None:
            self._player = player(self.settings)
        return self._player

    def run(self) -> list[Clip]:
        """Ask until every clip is there or gone; the result is those that still may come."""
        missing = [clip for clip in self.every if not (self.folder / clip.file).exists()]
        check_space(self.folder, len(missing) * BYTES_PER_CLIP)
        for clip in missing:
            if self.mirror and self._lost(clip) and self.ledger.of(clip.file).origin == YOUTUBE:
                self._copy_lost(clip, self.ledger.of(clip.file))
        self._have = {c.file for c in self.every if (self.folder / c.file).exists()}
        for clip in self.every:
            # Put there by hand, or fetched by a job that was killed before it could say so.
            if clip.file in self._have and self.ledger.of(clip.file).state != "ok":
                self._note(clip, Try("ok", clip.end - clip.start, origin=FOUND))
        wanted = [c for c in self.every if c.file not in self._have and not self._lost(c)]
        if self.errand.project.data.allow_partial:
            open_still = self.late | {clip.file for clip in wanted}
            return [clip for clip in self.every if clip.file in open_still]
        for clip in wanted:
            last = self.ledger.of(clip.file)
            if last.state in PATIENCE and not last.settled:
                self._again(clip, self._believable(last))
            else:
                self._fresh.append(clip)
        try:
            self._report()
            while (due := self._next()) is not None:
                self._ask(due)
                self._report()
            self._report(news=True)
        finally:
            self._queue.leave()
        return [
            clip
            for clip in self.every
            if not (self.folder / clip.file).exists()
            and (clip.file in self.late or not self.ledger.of(clip.file).settled)
        ]

    def copied(self) -> int:
        """How many of the clips that are there are somebody's copies."""
        origins = [self.ledger.of(clip.file) for clip in self.every]
        known = (YOUTUBE, FOUND)
        return sum(last.state == "ok" and last.origin not in known for last in origins)

    def _lost(self, clip: Clip) -> bool:
        return self.ledger.of(clip.file).state in FINAL

    def _believable(self, last: Try) -> float:
        """When an answer that lasts is believed, on the clock that nobody sets."""
        patience = PATIENCE[last.state]
        left = last.since + patience - self.clock.now()
        return self.clock.steady() + min(patience, max(0.0, left))

    def _again(self, clip: Clip, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._number), clip))

    def _next(self) -> Clip | None:
        """What to ask for now; None when all is settled, or patience is at its end."""
        patience = self.settings.hold_out * HOUR
        while True:
            now = self.clock.steady()
            if self.unreachable or (self._asked and now - self._progress > patience):
                return None
            if self._due and self._due[0][0] <= now:
                return heapq.heappop(self._due)[2]
            if self._fresh:
                return self._fresh.popleft()
            if not (self._failed or self._streak):
                break
            self._ask_for_another()
        if not self._due or self._due[0][0] - self._progress > patience:
            return None
        if (pause := self._due[0][0] - now) > REPORT:
            self._report(news=True)
            until = moment(self.clock.now() + pause)
            tell(f"{self.errand.name}: what is left is asked for again from {until} on")
        _, _, clip = heapq.heappop(self._due)
        self.clock.sleep(pause)
        return clip

    def _ask_for_another(self) -> None:
        """No other clip is left that tells whether it is YouTube or those in trouble."""
        if self._witness():
            self._doubt()
            return
        for clip in self._failed:
            self._again(clip, self.clock.steady())
        for clip in self._streak:
            if self.ledger.of(clip.file).state in UNCLEAR:
                self._again(clip, self.clock.steady() + AGAIN)
        self._failed.clear()
        self._streak.clear()

    def _ask(self, clip: Clip) -> None:
        """One attempt: at the copy where we need not wait for YouTube, else at YouTube."""
        target = self.folder / clip.file
        if target.exists():
            self._note(clip, Try("ok", clip.end - clip.start, origin=FOUND))
            self._take(clip)
            return
        if clip.file in self.late:
            self._copy_lost(clip, self.ledger.of(clip.file))
            return
        if self.mirror and self.settings.mirrors == "all":
            copied = self._copy(clip)
            if copied.state == "ok":
                self._note(clip, copied)
                self._take(clip)
                return
        try:
            if self.wall.stands and (witness := self._witness()):
                self._probe(witness)
        except RefusedError:
            self._fresh.appendleft(clip)
            return
        except UnreachableError as trouble:
            self._fresh.appendleft(clip)
            self._wait_for_connection(str(trouble))
            return
        self._asked += 1
        try:
            self.gate.ask(lambda _: self._from_youtube(clip, target))
        except RefusedError as refusal:
            self._note(clip, Try("refused", reason=str(refusal)))
            self._failed.append(clip)
        except UnreachableError as trouble:
            self._note(clip, Try("offline", reason=str(trouble)))
            self._failed.append(clip)
            self._wait_for_connection(str(trouble))
        else:
            self._take(clip)

    def _from_youtube(self, clip: Clip, target: Path) -> None:
        outcome = fetch_clip(clip, target, self.player)
        if outcome.state == "refused":
            raise RefusedError(outcome.reason)
        if outcome.state == "offline":
            raise UnreachableError(outcome.reason)
        self._note(clip, replace(outcome, origin=YOUTUBE))

    def _note(self, clip: Clip, outcome: Try) -> None:
        self.ledger.note(clip.file, replace(outcome, when=self.clock.now()))

    def _take(self, clip: Clip) -> None:
        """Decide by the ledger's answer for a clip whether and when to ask again."""
        last = self.ledger.of(clip.file)
        self._failures = 0
        if last.state == "ok":
            self._have.add(clip.file)
        if last.origin == YOUTUBE and (last.state == "ok" or last.state in FINAL):
            self._opened()
        elif last.state != "ok":
            self._streak.append(clip)
        if last.state not in UNCLEAR:
            self._decide(clip)
        if len(self._streak) >= (1 if self._doubted else STREAK):
            self._doubt()

    def _decide(self, clip: Clip) -> None:
        """Whether a clip is settled, or else when it is asked for again."""
        now, last = self.clock.steady(), self.ledger.of(clip.file)
        if last.settled:
            self._progress = now
            if last.state != "ok":
                self._copy_lost(clip, last)
            return
        soon = last.state == "broken" or (last.state == "withheld" and last.when == last.since)
        self._again(clip, now + AGAIN if soon else self._believable(last))

    def _opened(self) -> None:
        """YouTube gives: what failed before is the trouble of those clips."""
        self._doubted = False
        self._failures = 0
        unclear = [c for c in self._streak if self.ledger.of(c.file).state in UNCLEAR]
        failed = self._failed
        self._failed = []
        self._streak = []
        for clip in failed:
            if clip.file in self._failed_before:
                unclear.append(clip)
            else:  # once is chance
                self._failed_before.add(clip.file)
                self._again(clip, self.clock.steady())
        for clip in unclear:
            self._note(clip, replace(self.ledger.of(clip.file), state="withheld"))
            self._decide(clip)

    def _wait_for_connection(self, reason: str) -> None:
        self._failures += 1
        never = not any(self.ledger.of(other.file).state == "ok" for other in self.every)
        if self.settings.unreachable == "absent" and self._failures >= 3:
            self.unreachable = True
            return
        shortest, longest = OFFLINE
        pause = min(longest, shortest * 2 ** (self._failures - 1))
        if self._failures == 2 or never:  # one slow video is nothing to tell
            tell(f"YouTube cannot be reached ({reason}); waiting for it")
        self.clock.sleep(pause)

    def _doubt(self) -> None:
        """Many videos in a row gave nothing: is that true of them, or is YouTube closed to us?"""
        witness = self._witness()
        try:
            if witness:
                self._probe(witness)
                return
            self.wall.build(None, "it gives nothing")
        except UnreachableError as trouble:
            self._wait_for_connection(str(trouble))
            return
        except RefusedError:
            pass
        self._doubted = True
        tell(
            f"YouTube gives nothing to yt-dlp now; what it said of {len(self._streak)} videos "
            "does not count"
        )
        for clip in self._streak:
            said = self.ledger.of(clip.file)
            if said.settled or said.state in UNCLEAR:
                self._again(clip, self.clock.steady() + AGAIN)
            self.ledger.note(clip.file, replace(said, state="client"))
        self._streak.clear()

    def _witness(self) -> Clip | None:
        """A clip that YouTube once gave; after a vain probe another, for it may be gone itself."""
        given = (
            clip
            for clip in self.every
            if (last := self.ledger.of(clip.file)).state == "ok" and last.origin == YOUTUBE
        )
        some = list(itertools.islice(given, WITNESSES))
        return some[self._vain_probes % len(some)] if some else None

    def _probe(self, witness: Clip) -> None:
        """Ask for a video that is known to be there: does YouTube give us anything at all?"""

        def attempt(_: object) -> None:
            with tempfile.TemporaryDirectory(prefix="sedrepro-probe-") as folder:
                try:
                    self.player.fetch(witness.video, Path(folder))
                except LookupError as error:
                    state = classify(str(error), self.player.scripted)
                    if state == "offline":
                        raise UnreachableError(str(error)) from None
                    if state not in FINAL:
                        raise RefusedError(" ".join(str(error).split())[:200]) from None

        self._vain_probes += 1
        self.gate.ask(attempt)
        self._vain_probes -= 1
        self._opened()

    def _copy_lost(self, clip: Clip, last: Try) -> None:
        """Fetch from the mirror a clip that YouTube no longer has."""
        if self.mirror is None:
            return
        copied = self._copy(clip)
        if copied.state == "later":
            self.late.add(clip.file)
            self._again(clip, self.clock.steady() + copied.when)
            return
        self.late.discard(clip.file)
        self._progress = self.clock.steady()
        origin = copied.origin if copied.state == "ok" else f"{YOUTUBE}, {copied.origin}"
        kept = copied if copied.state == "ok" else last
        self._note(clip, replace(kept, origin=origin))
        if copied.state == "ok":
            self._have.add(clip.file)

    @cached_property
    def _lacking(self) -> set[str]:
        """The clips that the mirror's own table says it lacks: every cell of it that names one."""
        assert self.mirror is not None
        if not self.mirror.missing:
            return set()
        try:
            table = http.read(self.mirror.missing, self.errand.session).decode(errors="replace")
        except (GoneError, TransientError):
            return set()  # then the clips themselves are asked for
        names = {
            cell.rpartition("/")[2].removesuffix(".wav") for cell in re.split(r"[\s,]+", table)
        }
        return {f"{name}.wav" for name in names}

    def _copy(self, clip: Clip) -> Try:
        assert self.mirror is not None
        url, origin = self.mirror.url + clip.file, http.host_of(self.mirror.url)
        part = self.errand.downloads / f"{clip.file}.part"
        session = self.errand.session
        if clip.file in self._lacking:
            return Try(
                "removed", reason="the copy's own table says that it lacks it", origin=origin
            )
        try:
            http.download([url], part, session, size=None, pinned=False, verify=_unsound)
        except GoneError as error:
            return Try("removed", reason=str(error), origin=origin)
        except TransientError as error:
            pause = LONGEST_WAIT if error.after is None else error.after
            return Try("later", reason=str(error), origin=origin, when=pause)
        target = self.folder / clip.file
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        http.discard(part)
        return Try("ok", clip.end - clip.start, origin=origin)

    def _report(self, news: bool = False) -> None:
        """How far it is: for the log, the terminal, and `sedrepro status`."""
        now, walled = self.clock.steady(), self.wall.stands
        news = news or walled != self._told_of_wall
        if not (news or now - self._told >= REPORT):
            return
        self._told = now
        self._told_of_wall = walled
        found = self._found(now)
        self._queue.wait(int(found["left"]))
        said = line(found)
        done = (found["there"] + found["gone"]) / max(1, len(self.every))
        current()(done, said, left=found["seconds_left"], force=True)
        tell(f"{self.errand.name}: {said}")

    def _found(self, now: float) -> dict[str, float]:
        """How far it is, in numbers."""
        settled = [c for c in self.every if self.ledger.of(c.file).settled]
        gone = sum(c.file not in self._have and c.file not in self.late for c in settled)
        left = len(self.every) - len(self._have) - gone
        others = self._queue.others()
        # Whoever asks takes turns with the others, until these or we have all there is.
        turns = left + sum(min(left, other) for other in others)
        wall = self.wall.left()
        latest = max((due for due, _, _ in self._due), default=now)
        return {
            "clips": len(self.every),
            "there": len(self._have),
            "gone": gone,
            "refused": sum(self.ledger.of(c.file).state == "refused" for c in self.every),
            "left": left,
            "sharing": len(others) + 1,
            "per_hour": round(self._asked / (now - self._begun) * HOUR if now > self._begun else 0),
            "seconds_left": round(max(wall + self.gate.policy.hours(turns) * HOUR, latest - now)),
            "time": self.clock.now(),
            "wall": wall,
        }


class Queue:
    """How many clips the jobs that ask YouTube at the same time still want, each in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.own = folder / f"{name}.json"

    def wait(self, left: int) -> None:
        write_json(self.own, {"left": left, "process": identity()})

    def leave(self) -> None:
        self.own.unlink(missing_ok=True)

    def others(self) -> list[int]:
        """What the others want; who was killed could not leave, and counts no more."""
        found = []
        for path in self.own.parent.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                waiting = read_json(path)
                if path != self.own and alive(str(waiting["process"])):
                    found.append(int(waiting["left"]))
        return found


def line(found: dict[str, float]) -> str:
    """One line on how far a resource's clips are."""
    text = f"{found['there']:,} of {found['clips']:,} clips there, {found['gone']:,} gone"
    if found["refused"]:
        text += f", {found['refused']:,} refused"
    if not found["left"]:
        return text
    text += f", {found['left']:,} to come"
    if found["per_hour"]:
        text += f" at {found['per_hour']:,} an hour"
    text += f": about {found['seconds_left'] / HOUR:.1f} h at YouTube's limit"
    if found["sharing"] > 1:
        text += f", which {found['sharing']} jobs share"
    if found["wall"]:
        text += f"; left alone until {moment(found['time'] + found['wall'])}"
    return text


def _unsound(path: Path) -> str | None:
    """What is wrong with a recording, or None."""
    import soundfile

    try:
        return None if soundfile.info(path).frames else "it holds no sound"
    except soundfile.SoundFileError:
        return "it is no recording"
