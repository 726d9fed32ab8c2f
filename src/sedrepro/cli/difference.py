"""`sedrepro diff A B`: two result sets, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SedreproError
from ..reporting.differences import COLUMNS as DIFFERENCE_COLUMNS
from ..reporting.records import read_rows
from ..settings.published import KEYS

PROVENANCE = ("published_source",)
"""Columns that say where a value comes from and not what it is."""


@dataclass
class Compared:
    """What two result sets have in common, and the cells in which they differ."""

    cells: int = 0
    differences: list[str] = field(default_factory=list)


def compare(first: str | Path, second: str | Path) -> Compared:
    """All tables of two result folders (`results/<name>`)."""
    found = Compared()
    names = [_tables(Path(folder)) for folder in (first, second)]
    for name in sorted(names[0] | names[1]):
        for folder, have in zip((first, second), names, strict=True):
            if name not in have:
                found.differences.append(f"{name}: not in {folder}")
        if name in names[0] & names[1]:
            _compare_table(name, Path(first), Path(second), found)
    return found


def text(found: Compared) -> str:
    count = len(found.differences)
    verdict = {0: "no difference", 1: "1 difference"}.get(count, f"{count} differences")
    return "\n".join([*found.differences, f"{found.cells} cells compared: {verdict}"])


def _tables(folder: Path) -> set[str]:
    inside = folder / "tables"
    if not inside.is_dir():
        raise SedreproError(f"{inside}: no such folder; give a folder of results, results/<name>")
    return {path.name for path in inside.glob("*.csv")}


def _compare_table(name: str, first: Path, second: Path, found: Compared) -> None:
    keys = _difference_keys() if name.endswith(".differences.csv") else KEYS
    rows = [_by_key(folder / "tables" / name, keys) for folder in (first, second)]
    for key in dict.fromkeys([*rows[0], *rows[1]]):
        where = f"{name}: {' '.join(part for part in key if part)}"
        if key not in rows[0] or key not in rows[1]:
            missing = first if key not in rows[0] else second
            found.differences.append(f"{where}: not in {missing}")
            continue
        for column, here, there in _columns(rows[0][key], rows[1][key]):
            found.cells += 1
            if here != there:
                found.differences.append(f"{where}: {column} {here or '-'} → {there or '-'}")


def _difference_keys() -> tuple[str, ...]:
    return DIFFERENCE_COLUMNS[: DIFFERENCE_COLUMNS.index("difference")]


def _by_key(path: Path, keys: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, str]]:
    return {tuple(row.get(key, "") for key in keys): row for row in read_rows(path)}


def _columns(here: dict[str, str], there: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for column in dict.fromkeys([*here, *there]):
        if column not in PROVENANCE:
            yield column, here.get(column, ""), there.get(column, "")
