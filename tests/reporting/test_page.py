"""The page as a browser reads it: links, names, embedded files, and what it says of nothing."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import fabricate
import pytest

from sedrepro import settings
from sedrepro.reporting import draw, publish, render
from sedrepro.reporting.collect import collect
from sedrepro.reporting.page import marked
from sedrepro.reporting.page.runs import flatten
from sedrepro.reporting.page.table import source_link
from sedrepro.reporting.records import read_rows
from sedrepro.settings import Run
from sedrepro.training.record import code_digest
from written import rewrite

pytestmark = pytest.mark.slow

PAPER = "lgc_sed"
VOID = {"meta", "link", "img", "input", "br", "hr", "line", "path", "rect", "circle"}


class Page(HTMLParser):
    """Elements with their attributes, the text, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.data: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str]]] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = {key: value or "" for key, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append((tag, attributes))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop()[0] != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        where = self._open[-1] if self._open else ("", {})
        if where[0] == "script":
            self.data[where[1].get("id", "")] = data
        elif where[0] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def having(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def page_of(place, root=None) -> Page:
    path = publish(place.project, place.layout, root or place.root)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(made) -> Page:
    draw(made.project, PAPER, made.layout)
    return page_of(made)


def test_every_element_is_closed_and_every_id_is_used_once(page):
    assert page.unbalanced == []
    ids = page.having("id")
    assert len(ids) == len(set(ids))


def test_every_link_within_the_page_leads_somewhere(page):
    targets = [href[1:] for href in page.having("href") if href.startswith("#")]
    assert len(targets) > 50
    assert set(targets) <= set(page.having("id"))
    assert set(page.having("aria-labelledby")) <= set(page.having("id"))


def test_nothing_is_loaded_from_outside(page, made):
    assert all(source.startswith("data:") for source in page.having("src"))
    outside = [a["href"] for tag, a in page.elements if a.get("href", "").startswith("http")]
    spec = made.project.papers[PAPER]
    published = read_rows(made.root / "config" / "papers" / PAPER / "published.csv")
    sources = {source_link(row["source"], spec.url) for row in published}
    assert {spec.url, spec.code} <= set(outside) <= {spec.url, spec.code, *sources}
    assert not [a for tag, a in page.elements if tag == "link" and a["href"] != "data:,"]
    css = Path(sys.modules["sedrepro.reporting.page"].HERE, "page.css").read_text()
    assert "url(" not in css.replace("url(#", "")
    (policy,) = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")


def test_it_is_one_small_file(made, page):
    assert Path(made.layout.report).stat().st_size < 3e6


def test_the_tables_hold_our_numbers_and_lead_to_their_runs(page, made):
    tables, _ = collect(made.project, PAPER, made.layout, made.root)
    for table in tables:
        for row in table.rows:
            for cell in row.cells:
                if cell.ours is not None:
                    assert f"{cell.ours.mean:.3f}" in page.text
    assert f"#runs-{PAPER}-lgc-desed" in page.having("href")


def test_the_miniature_is_called_one(page):
    assert "This is the miniature." in page.text
    assert "cannot be compared with the published ones" in page.text


def test_downloads_are_the_tables(page):
    links = {a["download"]: a["href"] for _, a in page.elements if "download" in a}
    assert set(links) == {
        f"{PAPER}.{table}.{form}"
        for table in ("teacher", "student", "public_eval", "boxes")
        for form in ("csv", "tex", "differences.csv")
    }
    content = base64.b64decode(links[f"{PAPER}.teacher.csv"].split(",", 1)[1]).decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert {row["table"] for row in rows} == {"teacher"}
    assert "lgc" in {row["row"] for row in rows}


def test_every_control_has_a_name(page):
    for tag, attributes in page.elements:
        if tag == "img":
            assert attributes["alt"]
        if attributes.get("role") in ("img", "region", "group"):
            assert attributes["aria-label"]


def test_the_listening_room_has_sound_picture_truth_and_scores(page, made):
    room = json.loads(page.data[f"{PAPER}-room-data"])
    assert [clip["id"] for clip in room["clips"]] == [f"validation_{i:02d}" for i in range(4)]
    assert len(room["sources"]) == 12  # 6 rows × teacher and student
    for clip in room["clips"]:
        assert clip["audio"].startswith("data:audio/ogg;base64,T2dn")
        assert clip["image"].startswith("data:image/png;base64,")
        assert len(clip["scores"]) == 12
        assert clip["truth"]
    first, second = (room["sources"][index] for index in room["clips"][0]["chosen"])
    assert (first["row"], second["row"]) == ("mt", "lgc")
    assert {first["model"], second["model"]} == {"teacher"}


def test_the_training_curves_are_the_histories(page):
    curves = json.loads(page.data[f"{PAPER}-curves-data"])
    assert len(curves["lines"]) == 8
    assert curves["quantities"][0]["name"] == "score that selects the checkpoint"
    assert all(len(line["epochs"]) == 20 for line in curves["lines"])


def test_settings_that_differ_from_the_papers_are_listed(copy):
    path = Path(copy.layout.run(Run(PAPER, "lgc", "desed", 42), "run.json"))
    content = json.loads(path.read_text())
    content["settings"]["training"]["epochs"] = 3
    path.write_text(json.dumps(content))
    page = page_of(copy)
    assert re.search(r"training\.epochs 200 3\b", page.text)


def test_runs_of_older_code_are_flagged_and_others_are_not(copy):
    assert "Made by older code" in page_of(copy).text
    for path in Path(copy.layout.results).rglob("run.json"):
        content = json.loads(path.read_text())
        content["code"]["digest"] = code_digest()
        path.write_text(json.dumps(content))
    assert "older code" not in page_of(copy).text.lower()


def test_the_data_audit_and_the_cost_are_there(page):
    assert "one recording is no longer available" in page.text
    assert "92.3%" in page.text
    assert "812 MB" in page.text
    assert "not measured" in page.text


def test_what_comes_from_files_is_escaped(copy):
    evil = "<script>alert(1)</script>&<b>"
    path = Path(copy.layout.run(Run(PAPER, "mt", "desed", 42), "metrics.json"))
    rewrite(path, json.loads(path.read_text()) | {"status": "not_run", "reason": evil})
    html = publish(copy.project, copy.layout, copy.root).read_text()
    assert "<script>alert" not in html
    assert evil in Page(html).text


def test_what_stands_between_backticks_is_set_as_code():
    assert marked("row `a<b>`, <i>") == "row <code>a&lt;b&gt;</code>, &lt;i&gt;"


def test_from_nothing_the_page_says_so(empty):
    page = page_of(empty)
    assert page.unbalanced == []
    assert "pending: 0 of 12 runs finished" in page.text
    for words in (
        "not drawn yet",
        "No finished run has a training history",
        "Nothing to listen to",
    ):
        assert words in page.text
    assert "not started yet" in page.text
    assert page.having("id").count(f"{PAPER}-tables") == 1


def test_one_failed_run_is_told_with_its_error(empty):
    log = Path(empty.layout.results, "logs", "train", "lgc_sed.mt.desed.seed42.log")
    log.parent.mkdir(parents=True)
    log.write_text("error: the loss is nan at epoch 3, batch 7\n")
    page = page_of(empty)
    assert "Unfinished: the loss is nan at epoch 3, batch 7" in page.text
    assert "pending" in page.text


def test_nan_scores_are_called_undefined(copy):
    for seed in (42, 43):
        path = Path(copy.layout.run(Run(PAPER, "lgc", "desed", seed), "metrics.json"))
        content = json.loads(path.read_text())
        for entry in content["metrics"]:
            entry["value"] = entry["ci_low"] = entry["ci_high"] = float("nan")
        rewrite(path, content)
    page = page_of(copy)
    assert "undefined" in page.text
    assert page.text.count("undefined") > 10
    assert " nan" not in page.text.lower()


def test_some_runs_finished_is_partial(copy):
    import shutil

    shutil.rmtree(copy.layout.run(Run(PAPER, "lgc", "desed", 43)))
    assert "partial: 11 of 12 runs finished" in page_of(copy).text


def test_flatten_keeps_lists_whole():
    assert flatten({"a": {"b": [1, 2]}, "c": 3}) == {"a.b": [1, 2], "c": 3}


def test_render_makes_everything_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = fabricate.project_of()
    path = render(project, root=fabricate.ROOT)
    assert path == Path("results/mini/report/index.html")
    layout = settings.Layout.of(project)
    assert all(Path(layout.paper_table(PAPER, form)).is_file() for form in ("csv", "md", "tex"))
    assert Path(layout.figure(PAPER, "psd_roc", "svg")).is_file()


@pytest.mark.parametrize("part", ["tables", "page", "figures"])
def test_reporting_is_light(part):
    heavy = {"tables": "pandas matplotlib h5py", "page": "pandas matplotlib", "figures": "pandas"}
    code = (
        f"import sys; import sedrepro.reporting.{part}; "
        f"print(*({{'torch', *'{heavy[part]}'.split()}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
