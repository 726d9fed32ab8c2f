"""Whose recordings tables and page show: only scores on the paper's corpus meet its numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import fabricate
import pytest

from sedrepro.reporting import publish, tabulate
from sedrepro.reporting.collect import collect
from sedrepro.reporting.figures.activity import checkpoint_bars
from sedrepro.reporting.figures.material import Material
from sedrepro.reporting.stats import JUDGED
from sedrepro.settings import Layout, Project
from written import rewrite

BIRDS = ["Bittern", "Coot", "Crane", "Curlew", "Heron", "Rail", "Reed_warbler", "Teal"]
PAPERS = ["lgc_sed", "cross_task_sod"]
DIAMOND = 'class="published"'


def project_of(folder: Path, **desed) -> Project:
    """Two papers at full scale, a seed and three rows each, on a tree of the user's own."""
    rows = {
        "lgc_sed": {"rows": ["mt_median7", "mt", "lgc"], "table": {"mt_median7": {"from": "mt"}}},
        "cross_task_sod": {"rows": ["mt_backbone", "full"]},
    }
    tree = folder / "my_tree"
    tree.mkdir(exist_ok=True)
    return fabricate.project_of(
        scale="full",
        run=PAPERS,
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
        assert "clips without events" not in text
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
    (legend,) = checkpoint_bars(Material(project, "cross_task_sod", layout)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours"]


@pytest.mark.parametrize(
    ("origin", "desed"), [("own", {}), ("official", {"own": True})], ids=["by clips", "by setting"]
)
def test_other_clips_of_the_same_classes_are_ones_own_too(tmp_path, origin, desed):
    project = project_of(tmp_path, **desed)
    layout = fabricate.fabricate(tmp_path, project, origin=origin)
    fabricate.whole_data(layout)
    for paper in PAPERS:
        tables, _ = collect(project, paper, layout, fabricate.ROOT)
        cells = [cell for table in tables for row in table.rows for cell in row.cells]
        assert any(cell.ours for cell in cells)
        assert not any(cell.published.value for cell in cells)


def test_a_complete_copy_of_the_corpus_keeps_its_verdicts(tmp_path):
    project = project_of(tmp_path)
    layout = fabricate.fabricate(tmp_path, project)
    fabricate.whole_data(layout)
    printed = Printed(project, layout)
    assert len(printed.judged) > 5
    assert DIAMOND in printed.page
    assert "DCASE 2023 baseline" in printed.text
    assert "own data" not in printed.page.lower()


def test_the_small_network_on_ones_own_data_is_no_miniature(tmp_path):
    project = project_of(tmp_path, classes=BIRDS)
    small = project.model_copy(update={"scale": "mini"})
    tables, _ = collect(small, "lgc_sed", fabricate.layout_of(tmp_path, small), fabricate.ROOT)
    notes = " ".join(note for table in tables for note in table.notes)
    assert "Own data" in notes
    assert "A small network" in notes
    assert "look-alike" not in notes


def test_results_that_were_copied_alone_tell_it_by_their_runs(tmp_path):
    project = project_of(tmp_path)
    layout = fabricate.fabricate(tmp_path, project)
    for path in Path(layout.results).rglob("run.json"):
        path.write_text(path.read_text().replace('"note": ""', '"note": "", "origin": "own"'))
    away = Layout(str(tmp_path / "elsewhere"), layout.results)
    tables, _ = collect(project, "lgc_sed", away, fabricate.ROOT)
    assert all(table.whose.own for table in tables)


def test_events_that_nobody_could_hear_are_told_beside_the_score(tmp_path):
    project = project_of(tmp_path)
    layout = fabricate.fabricate(tmp_path, project)
    for path in Path(layout.results).rglob("lgc/**/metrics.json"):
        content = fabricate.json.loads(path.read_text())
        for entry in content["metrics"]:
            entry |= {"n_events": 150, "n_cut": 37}
        rewrite(path, content)
    tables, _ = collect(project, "lgc_sed", layout, fabricate.ROOT)
    (row,) = [row for row in tables[0].rows if row.name == "lgc"]
    told = "37 of 150 events go on after what is heard of their clips"
    assert all(told in cell.note for cell in row.cells if cell.ours)
    assert any(note.startswith(f"LGC (CLC + PGC): {told}") for note in tables[0].notes)
