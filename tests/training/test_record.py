"""What tells runs of older code from others."""

from __future__ import annotations

import pytest

from sedrepro.training.record import code_digest


@pytest.mark.parametrize(
    ("path", "older"),
    [
        ("training/trainer.py", True),
        ("papers/lgc_sed/method.py", True),
        ("store.py", True),
        ("reporting/tables.py", False),
        ("reporting/page/runs.py", False),
        ("evaluation/sed.py", False),
        ("cli/commands.py", False),
    ],
)
def test_only_what_training_depends_on_makes_a_run_older(tmp_path, path, older):
    digests = []
    for name, text in (("before", "a = 1\n"), ("after", "a = 2\n")):
        place = tmp_path / name / path
        place.parent.mkdir(parents=True)
        place.write_text(text)
        (tmp_path / name / "errors.py").write_text("")
        digests.append(code_digest(tmp_path / name))
    assert (digests[0] != digests[1]) is older
