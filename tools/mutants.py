"""Change the code in small ways, one at a time, and see whether a test notices.

    python tools/mutants.py --seed 7 --count 400 [--jobs 2] [--only metrics]

Draws mutants by a seed, as many of each group of files as its share of all that there could be, and
runs those tests of `make test` that concern the file. Each file of tests runs in a process of its
own, forked from one that has the large libraries loaded; the code that is changed is a copy. Prints
the share of mutants that were noticed, with its interval, and those that were not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import importlib
import math
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "sedrepro"
LIBRARIES = (
    *("numpy", "pandas", "torch", "h5py", "scipy.stats", "soundfile", "yaml", "pydantic"),
    *("jinja2", "sklearn.metrics", "sklearn.cluster", "sed_scores_eval", "psds_eval"),
    *("torch._dynamo", "hypothesis", "pytest"),  # torch's optimisers import its compiler
)
TESTS = "not system and not long"
"""Tests that `make test` runs, those marked as slow too: many promises are kept only there."""
PATIENCE = 4.0
"""How many times as long as without a change tests may take; a loop without end is noticed."""


@dataclass(frozen=True)
class Group:
    """Files that are about one thing, and the tests that would notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


GROUPS = {
    "metrics": Group(("metrics/*.py",), ("metrics",)),
    "objectives": Group(("objectives/*.py",), ("objectives",)),
    "evaluation": Group(("evaluation/*.py",), ("evaluation",)),
    "statistics": Group(
        ("reporting/stats.py", "reporting/differences.py"),
        (
            *("reporting/test_stats.py", "reporting/test_cells.py"),
            *("reporting/test_differences.py", "reporting/test_tables.py"),
        ),
    ),
    "tables": Group(
        ("reporting/collect.py", "reporting/tables.py", "tables.py"),
        (
            *("test_clip_tables.py", "reporting/test_cells.py", "reporting/test_tables.py"),
            *("reporting/test_records.py", "reporting/test_whose.py"),
            "reporting/test_branches.py",
        ),
    ),
    "training data": Group(
        ("training/data.py", "training/selection.py", "training/scoring.py"),
        ("training/test_loading.py", "training/test_scoring.py", "training/test_hooks.py"),
    ),
    "keys": Group(
        ("chain.py", "kept.py", "files.py", "reporting/links.py", "training/state.py"),
        (
            *("test_kept.py", "test_files.py", "training/test_state.py"),
            *("reporting/test_links.py", "reporting/test_records.py"),
            *("life/test_refusals.py", "life/test_causes.py", "reporting/test_sharing.py"),
        ),
    ),
}


# What could be changed

COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """A piece of a file and what stands there instead."""

    group: str
    path: Path
    start: int
    end: int
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        place = f"{self.path.relative_to(ROOT)}:{self.line}"
        return f"{place}: {_short(self.before)}  →  {_short(self.after)}"


def _short(text: str) -> str:
    return " ".join(text.split())[:70]


@cache
def mutants_of(group: str, path: Path) -> list[Mutant]:
    """Every small change of a file. What a person reads is no behaviour: texts stay as they are."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in _behaviour(ast.parse(text)):
        for old, new in _changes(node):
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[old.end_lineno - 1] + old.end_col_offset
            before = text.encode()[start:end].decode()
            after = ast.unparse(ast.fix_missing_locations(new))
            if isinstance(old, ast.expr):
                after = f"({after})"
            found.append(Mutant(group, path, start, end, old.lineno, before, after))
    return found


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but annotations, texts, imports and what is raised."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr)):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # asks only that other code keeps its word: nothing that is right tells it
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _behaviour(child)


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """What of a node could be something else, and what."""
    match node:
        case ast.Compare(left, [operator], right):
            yield node, ast.Compare(left, [COMPARED[type(operator)]()], right)
        case ast.BinOp(left, operator, right):
            if type(operator) in COMPUTED and not (_is_text(left) or _is_text(right)):
                yield node, ast.BinOp(left, COMPUTED[type(operator)](), right)
        case ast.BoolOp(operator, values):
            yield node, ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            yield node, operand
        case ast.IfExp(test, body, other):
            yield node, ast.IfExp(test, other, body)
        case ast.Constant(bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield node, ast.Constant(value + 1)
        case ast.If(test) if not isinstance(test, ast.Compare | ast.UnaryOp | ast.BoolOp):
            yield test, ast.UnaryOp(ast.Not(), test)
        case ast.Expr(ast.Call()):
            yield node, ast.Pass()
        case ast.AugAssign(target, operator, value) if type(operator) in COMPUTED:
            yield node, ast.AugAssign(target, COMPUTED[type(operator)](), value)
        case ast.Continue():
            yield node, ast.Break()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr | ast.Constant) and not isinstance(
        getattr(node, "value", ""), int | float
    )


def sample(count: int, seed: int, chosen: Sequence[str]) -> list[Mutant]:
    """So many mutants, of each group in proportion, at least one; shuffled."""
    draw = random.Random(seed)
    known: dict[str, list[Mutant]] = {}
    for name in chosen:
        files = sorted({path for one in GROUPS[name].files for path in PACKAGE.glob(one)})
        known[name] = [mutant for path in files for mutant in mutants_of(name, path)]
    total = sum(map(len, known.values()))
    drawn: list[Mutant] = []
    for mutants in known.values():
        share = max(1, round(count * len(mutants) / total))
        drawn += draw.sample(mutants, min(share, len(mutants)))
    draw.shuffle(drawn)
    return drawn


def tests_of(mutant: Mutant) -> tuple[str, ...]:
    """The tests of a group that import the file's module; else those that name it, or all."""
    places = [ROOT / "tests" / one for one in GROUPS[mutant.group].tests]
    files = [path for one in places for path in (sorted(one.glob("test_*.py")) or [one])]
    module = ".".join(mutant.path.relative_to(SOURCE).with_suffix("").parts)
    name = re.compile(rf"\b{mutant.path.stem}\b")
    importing = [path for path in files if module in imported(path)]
    naming = [path for path in files if name.search(path.read_text(encoding="utf-8"))]
    return tuple(map(str, importing or naming or files))


@cache
def imported(path: Path) -> set[str]:
    """What a file of tests imports, modules and what it takes of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


# Whether a test notices


class SlowLast:
    """The first test that fails is enough, so the quick ones are asked first."""

    def pytest_collection_modifyitems(self, items: list) -> None:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


class Copy:
    """A copy of the sources in which one file at a time is another."""

    def __init__(self, folder: Path) -> None:
        self.source = folder
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def fails(self, tests: str, seconds: float, mutant: Mutant | None = None) -> str:
        """How a file of tests ends: "" if they pass."""
        if mutant is None:
            return self._run(tests, seconds)
        path = self.source / mutant.path.relative_to(SOURCE)
        whole = path.read_bytes()
        changed = whole[: mutant.start] + mutant.after.encode() + whole[mutant.end :]
        path.write_bytes(changed)
        try:
            return self._run(tests, seconds)
        finally:
            path.write_bytes(whole)

    def _run(self, tests: str, seconds: float) -> str:
        child = os.fork()
        if child == 0:
            os._exit(self._child(tests))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return "" if status == 0 else "noticed"
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "too long"

    def _child(self, tests: str) -> int:
        import pytest

        os.setpgid(0, 0)
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.source))
        os.environ |= {"PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1"}
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", TESTS]
        with tempfile.TemporaryDirectory() as folder:
            code = pytest.main([*options, "--basetemp", f"{folder}/tests", tests], [SlowLast()])
        return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)  # all of it is slow


def interval(noticed: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    share, weight = noticed / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    return middle - half, middle + half


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=GROUPS, action="append")
    parser.add_argument("--part", default="1/1", help="the k-th of n parts of the sample: k/n")
    told = parser.parse_args(words)
    part, parts = map(int, told.part.split("/"))
    chosen = told.only or list(GROUPS)
    mutants = sample(told.count, told.seed, chosen)[part - 1 :: parts]
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # pytest collects garbage at its end: of what is loaded here there is none
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(told.jobs) as pool:
        copies: Queue[Copy] = Queue()
        for index in range(told.jobs):
            copies.put(Copy(Path(folder, f"src{index}")))

        seconds: dict[str, float] = {}

        def patience(copy: Copy, tests: str) -> float:
            """How long a file of tests may take; without a change it is run once."""
            if tests not in seconds:
                begun = time.monotonic()
                if copy.fails(tests, 600):
                    sys.exit(f"this fails without any change: {tests}")
                seconds[tests] = time.monotonic() - begun
            return 10 + PATIENCE * seconds[tests]

        def cost(mutant: Mutant) -> Callable[[str], tuple[bool, float]]:
            """Those that have the file's name are asked first, then those that take least."""
            name = f"test_{mutant.path.stem}.py"
            return lambda tests: (Path(tests).name != name, seconds.get(tests, math.inf))

        def tried(mutant: Mutant) -> tuple[Mutant, str]:
            copy = copies.get()
            try:
                for tests in sorted(tests_of(mutant), key=cost(mutant)):
                    if how := copy.fails(tests, patience(copy, tests), mutant):
                        return mutant, how
                return mutant, ""
            finally:
                copies.put(copy)

        noticed, all_of_them = Counter(), Counter()
        for mutant, how in pool.map(tried, mutants):
            all_of_them[mutant.group] += 1
            noticed[mutant.group] += bool(how)
            print(f"{how or 'survived':9} {mutant}", flush=True)
    for name in all_of_them:
        print(f"{name}: {noticed[name]} of {all_of_them[name]} noticed")
    low, high = interval(noticed.total(), all_of_them.total())
    share = noticed.total() / all_of_them.total()
    print(
        f"{noticed.total()} of {all_of_them.total()} noticed, {share:.1%} "
        f"(95 %: {low:.1%} to {high:.1%}); seed {told.seed}, part {told.part}"
    )


if __name__ == "__main__":
    main()
