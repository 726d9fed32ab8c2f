"""docs/how-to.md: its `sedrepro` commands, typed section by section into a made-up result set."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import fabricate
import pytest
import yaml

from sedrepro import places, progress
from sedrepro.cli import main, status
from sedrepro.pipeline import jobs
from sedrepro.pipeline.flow import Flow
from sedrepro.reporting.tables import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import documented

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to.md"
SECTIONS = documented.sections(documented.read(PAGE))
ELSEWHERE = ("--checkpoint", "predict", "baseline.yaml")
"""Commands that need a network or a DESED tree. They are typed in
tests/evaluation/test_checkpoints_scored.py and tests/workflow/test_recipes.py."""
RESULTS = Path("results/mini")
ONE_SEED = {"seeds": [42]}


def typed(section: str) -> list[list[str]]:
    """The words of each command of a section that is typed here, in the order of the page."""
    calls = documented.words(SECTIONS[section], "sedrepro")
    return [words for words in calls if not any(e in " ".join(words) for e in ELSEWHERE)]


class Desk:
    """Somebody at a made-up result set, with the page open."""

    def __init__(self, copy: SimpleNamespace, capsys) -> None:
        self.layout, self.root = copy.layout, copy.root
        self.project = fabricate.project_of(**ONE_SEED)
        self.said = capsys

    def type(self, words: list[str]) -> str:
        """What a command prints that succeeds."""
        assert main([*words, "--configfile", "made.yaml"]) == 0, words
        return self.said.readouterr().out

    def follow(self, section: str, **yours: str) -> list[str]:
        """What each command of a section prints; `yours` is put where the page has capitals."""
        commands = [[yours.get(word, word) for word in words] for words in typed(section)]
        return [self.type(words) for words in commands]


@pytest.fixture
def desk(copy, monkeypatch, capsys) -> Desk:
    monkeypatch.chdir(copy.folder)
    monkeypatch.setattr("sedrepro.reporting.draw", lambda *_: None)  # takes longest, says nothing
    Path("made.yaml").write_text(yaml.safe_dump(fabricate.MINIATURE | ONE_SEED))
    places.mark(copy.folder, copy.root)
    return Desk(copy, capsys)


def test_watch_a_training(desk, monkeypatch):
    *_, page = jobs.after_evaluation(Flow(desk.project, desk.root))
    with progress.reporting(page.log, "publish") as told:
        told(0.5, "half of the page", force=True)

        def sleep(_: float) -> None:
            """Meanwhile everything is done."""
            told.end(through=True)
            monkeypatch.setattr(jobs.Job, "is_done", True)

        monkeypatch.setattr(status.time, "sleep", sleep)
        (said,) = desk.follow("Watch a training")
    first, last = said.splitlines()
    assert "running: publish page 50%, half of the page" in first
    assert "running: nothing" in last


def test_a_box_without_internet(desk):
    """The plan for the whole project, as the page has it, not for the made-up set."""
    ((plan,),) = typed("A box without internet")
    assert main([plan]) == 0
    said = desk.said.readouterr().out
    assert "desed_synth" in said
    assert "GB" in said


def test_merge_two_machines(desk):
    shutil.copytree("results", "elsewhere/results")
    for row in ("pgc", "lgc"):
        shutil.rmtree(RESULTS / "runs/lgc_sed" / row)
    merged, reported = desk.follow(
        "Merge two machines", **{"OTHER/results/full": "elsewhere/results/mini"}
    )
    assert "4 runs taken, 8 were here already" in merged
    assert "gpubox" in Path(reported.strip()).read_text()


def test_go_on_after_a_crash(desk):
    stood, unlocked, forgot = desk.follow("Go on after a crash")
    assert "6 of 6 runs done" in stood
    assert "there was no lock" in unlocked
    assert "forgot results/mini/runs/lgc_sed/lgc" in forgot
    assert "5 of 6 runs done" in desk.type(["status"])


def test_export(desk):
    table, _, _ = desk.follow("Export", SCORES="frames", DETECTIONS="points")
    assert table.startswith("table,")
    for form, begin in (("md", "# "), ("tex", "%"), ("json", "{")):
        assert begin in desk.type(["table", "lgc_sed", "--format", form]).splitlines()[0]
    clips = {path.stem for path in Path("frames").glob("*.tsv")}
    assert clips == {f"validation_{n:02d}" for n in range(12)}
    assert len(list(Path("points").glob("*.tsv"))) == 50


def test_cite(desk, monkeypatch, tmp_path_factory):
    tabulate(desk.project, "lgc_sed", desk.layout, desk.root)
    archive, verify = typed("Cite")
    assert "mine.sedrepro.zip" in desk.type(archive)
    anywhere = tmp_path_factory.mktemp("anywhere")
    shutil.move("mine.sedrepro.zip", anywhere)
    monkeypatch.chdir(anywhere)
    assert main(verify) == 0
    assert "every link holds" in desk.said.readouterr().out


def test_no_section_is_left_out():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    names = {section.lower().replace(" ", "_") for section in SECTIONS if typed(section)}
    assert names - tested == {"set_my_method_beside_theirs"}  # in test_score_and_export.py
