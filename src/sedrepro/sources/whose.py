"""Whose recordings a corpus's clips are: the paper's, look-alikes rendered here, or the user's own.

It is decided here and nowhere else, when clip tables are made, and needs no network: they keep the
answer in their audit. Published numbers are of the paper's corpus; scores on any other recordings
are never compared with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..files import digest
from ..settings import Data
from ..settings.classes import AVE_CLASSES, DESED_CLASSES, FSD_CLASSES
from . import registry

OFFICIAL, RENDERED, OWN = ORDER = "official", "rendered", "own"
SAID = "own data: "


class Origin(NamedTuple):
    """Whose clips are; of the user's own: how that is known."""

    kind: str
    why: str = ""

    @property
    def notes(self) -> list[str]:
        """What the audit says of it."""
        return [f"{SAID}{self.why}"] if self.kind == OWN else []

    @classmethod
    def read(cls, audit: Mapping[str, Any]) -> Origin:
        """What an audit says, or the copy of it in a run's record; older ones say nothing."""
        parts = str(audit.get("note", "")).split("; ")
        why = next((part.removeprefix(SAID) for part in parts if part.startswith(SAID)), "")
        return cls(str(audit.get("origin") or OFFICIAL), why)


def worst(origins: Iterable[Origin]) -> Origin:
    """What is said of recordings together: any of the user's own make them so."""
    return max(origins, key=lambda one: ORDER.index(one.kind), default=Origin(OFFICIAL))


CLASSES = {
    "desed": ("desed", DESED_CLASSES),
    "desed_soundbank": ("desed", DESED_CLASSES),
    "fsdkaggle2018": ("snr_mix", FSD_CLASSES),
    "ave": ("ave", AVE_CLASSES),
}
"""Where a corpus's classes are set, and which are its own."""


def declared(data: Data, corpus: str) -> Origin:
    """What the settings alone tell."""
    if corpus == "snr_mix":
        return worst(declared(data, part) for part in ("fsdkaggle2018", data.snr_mix.scenes))
    if getattr(data, corpus).own:
        return Origin(OWN, f"data.{corpus}.own says so")
    if data.origin == "render" and registry.local(data, corpus) is None:
        return Origin(RENDERED)
    if corpus not in CLASSES:
        return Origin(OFFICIAL)
    home, known = CLASSES[corpus]
    chosen = getattr(data, home).classes  # a job is given the settings of its corpus alone
    if set(chosen) == set(known):  # in whatever order
        return Origin(OFFICIAL)
    return Origin(OWN, f"its {len(chosen)} classes are not the corpus's {len(known)}")


def of(data: Data, corpus: str, subset: str, names: Sequence[str]) -> Origin:
    """Whose the clips are that a subset's table names, missing or not.

    Only a tree of the user's own can name others than the corpus's.
    """
    told = declared(data, corpus)
    known = KNOWN.get((corpus, subset))
    if told.kind != OFFICIAL or known is None or registry.local(data, corpus) is None:
        return told
    if not names or known.are(names):
        return told
    return Origin(OWN, f"{known.what} of {subset} are not the corpus's {known.count:,}")


# --- the official clips ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Clips:
    """What is known of a subset's official names: their number, and all of them or their form."""

    count: int
    names: str = ""
    """The digest of all names, sorted."""
    form: str = ""
    """Else what each looks like."""
    what: str = "the clips"

    def are(self, names: Sequence[str]) -> bool:
        """Whether these are the official ones, all of them."""
        if self.names:
            return digest(sorted(set(names))) == self.names
        # Tables of soundscapes leave out those without events, and counts are second-hand.
        return len(names) >= ENOUGH * self.count and all(
            re.fullmatch(self.form, name) for name in names
        )


ENOUGH = 0.9
VIDEO_CLIP = r"Y?[\w-]{11}_\d+(\.\d+)?_\d+(\.\d+)?"
NUMBER = r"\d+"

KNOWN = {
    ("desed", "weak"): Clips(1578, "23f13c87a88851331a0bf24dcc30feca"),
    ("desed", "unlabelled"): Clips(14412, "a36e045547fabbf21a53d871daaee4e0"),
    ("desed", "validation"): Clips(1168, "8d0b1b354d26c6187c441064c9cf8047"),
    ("desed", "public_eval"): Clips(692, "8a2ec60c6d4323031b3f6fa0b577e781"),
    ("desed", "strong_real"): Clips(3470, form=VIDEO_CLIP),
    ("desed", "synth_train"): Clips(10000, form=NUMBER),
    ("desed", "synth_validation"): Clips(2500, form=NUMBER),
    ("maestro", "train"): Clips(33, "e7a40367a742425b79d5fc2ea1a31f0d", what="the recordings"),
    ("maestro", "validation"): Clips(16, "0a876a9ec4f54262c1dcba5fc028eaf8", what="the recordings"),
    ("ave", "train"): Clips(3339, "e69258de9c433a547abfcdceeb64a1da"),
    ("ave", "validation"): Clips(402, "dc91c6b205d7cef95e751bc5a4d59ae1"),
    ("ave", "test"): Clips(402, "7b43658aa74cbcac7de980996ff4d9a5"),
    ("fsdkaggle2018", "train"): Clips(
        9473, "e73e3515842d6d5eca1dd9a8d269f06e", what="the event recordings"
    ),
    ("tau2019", "development"): Clips(14400, "1e3fa4aec7219164f5c77f95cb10fbc9", what="the scenes"),
}
