"""The tool that changes the code in small ways: what it changes, and how it counts."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import mutants  # noqa: E402


@pytest.mark.parametrize("group", mutants.GROUPS)
def test_every_mutant_is_a_program_and_another_one(group):
    drawn = mutants.sample(40, 3, [group])
    assert drawn
    for mutant in drawn:
        text = mutant.path.read_bytes()
        assert text[mutant.start : mutant.end].decode() == mutant.before
        changed = text[: mutant.start] + mutant.after.encode() + text[mutant.end :]
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), mutant


def test_a_sample_is_drawn_by_its_seed_from_every_group():
    drawn = mutants.sample(100, 7, list(mutants.GROUPS))
    assert drawn == mutants.sample(100, 7, list(mutants.GROUPS))
    assert drawn != mutants.sample(100, 8, list(mutants.GROUPS))
    assert {mutant.group for mutant in drawn} == set(mutants.GROUPS)
    assert len(drawn) == pytest.approx(100, abs=len(mutants.GROUPS))


def test_texts_and_errors_stay_as_they_are(tmp_path):
    code = tmp_path / "code.py"
    code.write_text(
        '"""1 + 1"""\n'
        "if TYPE_CHECKING:\n"
        "    import numpy\n"
        "def f(x: int = 3) -> int:\n"
        "    if x > 2:\n"
        "        raise ValueError(x + 1)\n"
        "    zip([], [], strict=True)\n"
        '    return "a" + f"{x + 1}"\n'
    )
    found = [(mutant.before, mutant.after) for mutant in mutants.mutants_of("keys", code)]
    assert sorted(found) == [
        ("2", "(3)"),
        ("3", "(4)"),
        ("x > 2", "(x >= 2)"),
        ("zip([], [], strict=True)", "pass"),
    ]


def test_tests_of_a_module_are_those_that_name_it():
    path = mutants.PACKAGE / "objectives" / "mutual.py"
    mutant = mutants.Mutant("objectives", path, 0, 0, 1, "", "")
    assert [Path(one).name for one in mutants.tests_of(mutant)] == ["test_mutual.py"]


def test_or_those_that_import_it():
    """Many tests say `run`; those that import the module are the ones to ask."""
    path = mutants.PACKAGE / "evaluation" / "taken.py"
    mutant = mutants.Mutant("evaluation", path, 0, 0, 1, "", "")
    assert [Path(one).name for one in mutants.tests_of(mutant)] == ["test_taken.py"]


def test_the_interval_of_a_share():
    assert mutants.interval(340, 400) == pytest.approx((0.8117, 0.8817), abs=1e-4)
    assert mutants.interval(0, 10)[0] == pytest.approx(0, abs=1e-9)
