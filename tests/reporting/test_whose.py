"""Whose recordings tables and page show: only scores on the paper's corpus meet its numbers."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from pathlib import Path

import fabricate
import numpy as np
import pytest

from sedrepro import audio, tables
from sedrepro.reporting import publish, tabulate
from sedrepro.reporting.collect import collect
from sedrepro.reporting.figures.activity import checkpoint_bars
from sedrepro.reporting.figures.material import Material
from sedrepro.reporting.stats import JUDGED
from sedrepro.settings import Layout, Project
from sedrepro.sources import desed
from written import rewrite

BIRDS = ["Bittern", "Coot", "Crane", "Curlew", "Heron", "Rail", "Reed_warbler", "Teal"]
PAPERS = ["lgc_sed", "cross_task_sod"]
DIAMOND = 'class="published"'


def project_of(folder: Path, run=PAPERS, **desed) -> Project:
    """Two papers at full scale, a seed and three rows each, on a tree of the user's own."""
    rows = {
        "lgc_sed": {"rows": ["mt_median7", "mt", "lgc"], "table": {"mt_median7": {"from": "mt"}}},
        "cross_task_sod": {"rows": ["mt_backbone", "full"]},
    }
    tree = folder / "my_tree"
    tree.mkdir(exist_ok=True)
    return fabricate.project_of(
        scale="full",
        run=list(run),
        seeds=[42],
        data={"origin": "download", "desed": {"local": str(tree), **desed}},
        papers=rows,
    )


class Printed:
    """What lies in tables and page."""

    def __init__(self, project: Project, layout: Layout) -> None:
        self.lines: list[dict[str, str]] = []
        self.text = ""
        for paper in PAPERS:
            tabulate(project, paper, layout, fabricate.ROOT)
            with open(layout.paper_table(paper), newline="") as file:
                self.lines += csv.DictReader(file)
            for form in ("csv", "md", "tex"):
                self.text += Path(layout.paper_table(paper, form)).read_text()
        self.page = publish(project, layout, fabricate.ROOT).read_text()

    @property
    def judged(self) -> list[dict[str, str]]:
        return [line for line in self.lines if line["verdict"] in JUDGED]

    @property
    def measured(self) -> list[dict[str, str]]:
        return [line for line in self.lines if line["ours_mean"]]


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """Eight classes of one's own."""
    folder = tmp_path_factory.mktemp("birds")
    project = project_of(folder, classes=BIRDS)
    layout = fabricate.fabricate(folder, project)
    fabricate.whole_data(layout)
    return project, layout, Printed(project, layout)


def test_eight_classes_of_ones_own_are_compared_with_nothing(birds):
    _, _, printed = birds
    assert len(printed.measured) > 20
    assert not printed.judged
    assert not any(line["published"] or line["published_status"] for line in printed.lines)
    assert not any(line["gap"] for line in printed.lines)
    assert all("own data" in line["note"] for line in printed.measured)
    assert DIAMOND not in printed.page


def test_what_is_known_of_desed_stands_nowhere_beside_them(birds):
    _, _, printed = birds
    for text in (printed.text, printed.page):
        assert "DESED" not in text
        assert "DCASE 2023 baseline" not in text  # a row of other people's numbers
        assert "15 validation clips" not in text  # from the table's own note
        assert "miniature" not in text.lower()
        assert "look-alike" not in text


def test_tables_and_page_say_whose_data_they_show(birds):
    _, _, printed = birds
    said = "(my_tree, by data.desed.local): its 8 classes are not the corpus"
    assert said in printed.text
    assert said in printed.page
    assert "· own data</p>" in printed.page


def test_a_figure_of_them_has_no_published_bars(birds):
    project, layout, _ = birds
    (legend,) = checkpoint_bars(Material(project, "cross_task_sod", layout, fabricate.ROOT)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours"]


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A complete copy of the corpus in a tree of the user's."""
    folder = tmp_path_factory.mktemp("copied")
    project = project_of(folder)
    layout = fabricate.fabricate(folder, project)
    fabricate.whole_data(layout)
    return project, layout


def published(project: Project, layout: Layout) -> list[float]:
    """The published numbers that stand beside finished runs."""
    found = []
    for paper in project.selected_papers():
        printed, _ = collect(project, paper, layout, fabricate.ROOT)
        cells = [cell for table in printed for row in table.rows for cell in row.cells]
        assert any(cell.ours for cell in cells)
        found += [cell.published.value for cell in cells if cell.published.value is not None]
    return found


def test_a_complete_copy_of_the_corpus_keeps_its_verdicts(copied):
    printed = Printed(*copied)
    assert len(printed.judged) > 5
    assert DIAMOND in printed.page
    assert "DCASE 2023 baseline" in printed.text
    assert "own data" not in printed.page.lower()


def test_a_user_can_say_that_a_tree_is_their_own(copied):
    project, layout = copied
    assert published(project, layout)
    desed = project.data.desed.model_copy(update={"own": True})
    data = project.data.model_copy(update={"desed": desed})
    assert not published(project.model_copy(update={"data": data}), layout)


def test_clip_tables_tell_that_other_clips_are_ones_own(tmp_path):
    project = project_of(tmp_path, run=["cross_task_sod"])
    assert not published(project, fabricate.fabricate(tmp_path, project, origin="own"))


def test_the_real_tables_with_stand_in_audio_keep_theirs(tmp_path, acceptance):
    project = project_of(tmp_path, run=["cross_task_sod"])
    tree, place = tmp_path / "my_tree", desed.PLACES["validation"]
    with tarfile.open(acceptance / "desed-tables" / "metadata.tar.xz") as archive:
        archive.extractall(tree / "metadata")
    sound = tmp_path / "sound.wav"
    audio.write(sound, np.full(8000, 0.1), 800)
    (tree / place.audio).mkdir(parents=True)
    for name in dict.fromkeys(tables.read(tree / place.table, ["filename"])["filename"]):
        (tree / place.audio / name).hardlink_to(sound)
    (audit,) = desed.adapt("validation", project)[2].to_dict("records")
    assert (audit["found"], audit["origin"]) == (1168, "official")
    layout = fabricate.fabricate(tmp_path, project, origin=audit["origin"])
    fabricate.whole_data(layout)
    printed, _ = collect(project, "cross_task_sod", layout, fabricate.ROOT)
    cells = [cell for table in printed for row in table.rows for cell in row.cells]
    assert any(cell.verdict in JUDGED for cell in cells)


def test_a_table_none_of_whose_rows_is_run_is_no_exception(tmp_path):
    project = project_of(tmp_path, run=["cross_task_sod"], classes=BIRDS)
    paper = project.papers["cross_task_sod"].model_copy(update={"rows": ["mt_backbone"]})
    alone = project.model_copy(update={"papers": {**project.papers, "cross_task_sod": paper}})
    layout = fabricate.layout_of(tmp_path, alone)
    printed, _ = collect(alone, "cross_task_sod", layout, fabricate.ROOT)
    assert "ablations" in [table.name for table in printed]
    assert all(table.whose.own for table in printed)


def test_the_small_network_on_ones_own_data_is_no_miniature(tmp_path):
    project = project_of(tmp_path, classes=BIRDS)
    small = project.model_copy(update={"scale": "mini"})
    printed, _ = collect(small, "lgc_sed", fabricate.layout_of(tmp_path, small), fabricate.ROOT)
    notes = " ".join(note for table in printed for note in table.notes)
    assert "Own data" in notes
    assert "A small network" in notes
    assert "look-alike" not in notes


def test_results_that_were_copied_alone_tell_it_by_their_runs(copied, tmp_path):
    project, layout = copied
    away = Layout(str(tmp_path / "elsewhere"), str(tmp_path / "results"))
    shutil.copytree(layout.results, away.results)
    assert published(project, away)
    for path in Path(away.results).rglob("run.json"):
        path.write_text(path.read_text().replace('"note": ""', '"note": "", "origin": "own"'))
    assert not published(project, away)


def test_events_that_nobody_could_hear_are_told_beside_the_score(copied, tmp_path):
    project, layout = copied
    shutil.copytree(layout.results, tmp_path / "results")
    layout = Layout(layout.data, str(tmp_path / "results"))
    for path in Path(layout.results).rglob("lgc/**/metrics.json"):
        content = json.loads(path.read_text())
        for entry in content["metrics"]:
            entry |= {"n_events": 150, "n_cut": 37}
        rewrite(path, content)
    printed, _ = collect(project, "lgc_sed", layout, fabricate.ROOT)
    (row,) = [row for row in printed[0].rows if row.name == "lgc"]
    told = "37 of 150 events go on after what is heard of their clips"
    assert all(told in cell.note for cell in row.cells if cell.ours)
    assert any(note.startswith(f"LGC (CLC + PGC): {told}") for note in printed[0].notes)
