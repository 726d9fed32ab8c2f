"""What README and docs tell people to type, and which settings files to write."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)((?: {4}.*\n|\n)+)")
INLINE = re.compile(r"`([^`]+)`")
PROGRAMS = ("sedrepro", "snakemake", "make")


def commands(markdown: str) -> list[str]:
    """What stands in blocks, in order: one command each, continuation lines joined, no comments."""
    blocks = [(m.start(), textwrap.dedent(m[3])) for m in FENCE.finditer(markdown) if not m[2]]
    rest = FENCE.sub(lambda m: "\n" * m[0].count("\n"), markdown)
    blocks += [(m.start(), textwrap.dedent(m[1])) for m in INDENTED.finditer(rest)]
    found = []
    for _, block in sorted(blocks):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s+)#.*$", "", line).strip()
            if command:
                found.append(re.sub(r"\s{2,}", " ", command))
    return found


def typed(markdown: str) -> list[str]:
    """Every call of our programs in blocks."""
    single = [one for line in commands(markdown) for one in re.split(r"\s+(?:&&|\|\|)\s+", line)]
    return _calls(single)


def words(markdown: str, program: str) -> list[list[str]]:
    """The arguments of every call of one program in blocks."""
    calls = [shlex.split(call) for call in typed(markdown)]
    return [call[1:] for call in calls if call[0] == program]


def mentioned(markdown: str) -> list[str]:
    """Every call of our programs in running text, where arguments may be left out."""
    text = re.sub(r"^\| `.*?` \|", "", FENCE.sub("", markdown), flags=re.MULTILINE)  # messages
    return _calls([" ".join(m[1].split()) for m in INLINE.finditer(text)])


def _calls(lines: list[str]) -> list[str]:
    """The calls of our programs, once each; `…` stands for something, so that cannot be typed."""
    programs = tuple(f"{program} " for program in PROGRAMS)
    return [one for one in dict.fromkeys(lines) if one.startswith(programs) and "…" not in one]


def files(markdown: str) -> Iterator[tuple[str, str]]:
    """The settings files of a page: a YAML block after a sentence that ends with a file's name."""
    for match in re.finditer(r"`(\w+\.yaml)`:\n\n```yaml\n(.*?)^```", markdown, re.M | re.DOTALL):
        yield match[1], match[2]


def sections(markdown: str) -> dict[str, str]:
    """What stands under each heading of the second rank."""
    parts = re.split(r"^## (.+)\n", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
