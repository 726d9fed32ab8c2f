"""Run folders in every state they can be found in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import fabricate
import pytest

from sedrepro import chain
from sedrepro.files import tree_stamp
from sedrepro.reporting import links
from sedrepro.reporting.records import read_record, read_series, records
from sedrepro.settings import Run, Subset
from sedrepro.settings.runs import TABLES

RUN = Run("lgc_sed", "mt", "desed", 42)


def test_every_configured_run_is_found_once(made):
    found = records(made.project, "lgc_sed", made.layout)
    rows = made.project.selected_rows("lgc_sed")
    assert [(r.run.row, r.run.seed) for r in found] == [(row, s) for row in rows for s in (42, 43)]
    assert {record.state for record in found} == {"done"}


def test_nothing_on_disk(empty):
    record = read_record(empty.layout, RUN)
    assert (record.state, record.reason) == ("missing", "not started yet")


def test_a_run_that_could_not_be_made_says_why(copy):
    path = Path(copy.layout.run(RUN, "metrics.json"))
    path.write_text(json.dumps({"status": "not_run", "reason": "none of 578 clips", "metrics": []}))
    record = read_record(copy.layout, RUN)
    assert (record.state, record.reason) == ("not run", "none of 578 clips")


def test_trained_but_not_evaluated(copy):
    Path(copy.layout.run(RUN, "metrics.json")).unlink()
    assert read_record(copy.layout, RUN).reason == "trained, not evaluated"


@pytest.mark.parametrize("text", ["{", "[]", '"done"'])
def test_a_damaged_file_is_a_state(copy, text):
    Path(copy.layout.run(RUN, "metrics.json")).write_text(text)
    record = read_record(copy.layout, RUN)
    assert record.state == "unfinished"
    assert "metrics.json" in record.reason


def test_a_failed_run_ends_with_the_error_of_its_log(empty):
    log = Path(empty.layout.results, "logs", "train", "lgc_sed.mt.desed.seed42.log")
    log.parent.mkdir(parents=True)
    log.write_text("epoch 1\nerror: lgc_sed/mt/desed/seed42: the loss is nan at epoch 3, batch 7\n")
    record = read_record(empty.layout, RUN)
    assert record.state == "unfinished"
    assert record.reason == "lgc_sed/mt/desed/seed42: the loss is nan at epoch 3, batch 7"


def test_the_latest_jobs_error_counts(empty):
    logs = Path(empty.layout.results, "logs")
    for age, stage in enumerate(("train", "evaluate", "train")):  # trained again since
        log = logs / stage / "lgc_sed.mt.desed.seed42.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"error: {stage} {age}\n")
        os.utime(log, (1e9 + age, 1e9 + age))
    assert read_record(empty.layout, RUN).reason == "train 2"


def test_a_history_with_gaps(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss/a,select\n0,0.5,\n1,0.25,0.125\n")
    series = read_series(path)
    assert series["loss/a"] == [0.5, 0.25]
    assert series["select"][0] != series["select"][0]
    assert series["select"][1] == 0.125
    assert read_series(tmp_path / "absent.csv") == {}


def test_a_decoded_row_is_not_done_when_its_source_is_of_other_settings(made):
    """Its own settings may be the same: what it decodes is not what a clean run would decode."""
    other = fabricate.project_of(
        papers={"lgc_sed": {"table": {"mt": {"settings": {"training": {"epochs": 5}}}}}}
    )
    found = [r for r in records(other, "lgc_sed", made.layout) if r.run.row == "mt_median7"]
    assert found
    for record in found:
        source = f"lgc_sed/mt/desed/seed{record.run.seed}"
        assert record.state == "unfinished"
        assert record.reason.startswith(f"{source}: the run was made with another settings.train")


@pytest.mark.parametrize("changed", ["a table", "the tree"])
def test_numbers_of_data_that_changed_since_are_not_printed(copy, changed):
    subset, tree = Subset("desed", "validation"), copy.folder / "own"
    (tree / "audio").mkdir(parents=True)
    (tree / "audio/a.wav").write_bytes(b"one")
    key = copy.layout.tables_key(subset)
    files = [copy.layout.table(subset, name) for name in TABLES]
    chain.seal(key, "tables", files, trees={str(tree): tree_stamp(tree)})
    record = records(copy.project, "lgc_sed", copy.layout)[0]
    assert record.done
    if changed == "a table":
        with open(copy.layout.table(subset, "clips"), "a") as handle:
            handle.write("\n")
        expected = "clips.tsv: was changed after it was written; delete it and start"
    else:
        (tree / "audio/a.wav").write_bytes(b"another")
        links._stamp.cache_clear()
        expected = f"{tree}: has changed since the run's data were read; start"
    record = records(copy.project, "lgc_sed", copy.layout)[0]
    assert record.state == "unfinished"
    assert expected in record.reason
