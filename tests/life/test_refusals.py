"""Jobs that meet something damaged or missing end in one clear line, the last of their log."""

from pathlib import Path

import pytest

from sedrepro.files import last_words

from . import test_walk
from .driver import jobs
from .world import World, carry_out


@pytest.fixture(scope="module")
def life():
    with test_walk.living():
        yield test_walk.Life.world


@pytest.fixture
def world(life):
    """A result set of its own, finished."""
    return life.again()


def refusal(world: World, output: str) -> str:
    """The line in which the job of an output ends, from its script as Snakemake runs it."""
    job = jobs(world.flow)[output]
    with world.inside():
        for path in job.outputs:
            Path(path).unlink()
        with pytest.raises(SystemExit) as ended:
            carry_out(job, world.checkout)
        assert ended.value.code == 1
        assert not any(Path(path).exists() for path in job.outputs)
        return last_words(job.log)


def run_file(row: str, name: str) -> str:
    return f"results/life/runs/lgc_sed/{row}/desed/seed42/{name}"


def table(subset: str, name: str) -> str:
    return f"data/life/corpora/desed/{subset}/{name}.tsv"


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_checkpoint_that_was_damaged_is_no_start(world):
    checkpoint = run_file("mt", "checkpoint.pt")
    flip(world.tree / checkpoint)
    assert refusal(world, run_file("lgc", "run.json")) == (
        f"error: {checkpoint}: is not what the run wrote; `sedrepro forget lgc_sed/mt/desed/seed42`"
        ", then start again, makes that run anew"
    )


@pytest.mark.parametrize(
    ("output", "subset"),
    [
        (run_file("mt", "run.json"), "weak"),
        (run_file("mt", "metrics.json"), "validation"),
        ("data/life/features/desed/validation.mel128.h5", "validation"),
    ],
)
def test_clip_tables_of_which_one_is_gone_are_not_read(world, output, subset):
    gone = table(subset, "clips")
    (world.tree / gone).unlink()
    assert refusal(world, output) == f"error: {gone}: is gone; start the workflow again"


def test_a_record_that_was_cut_is_named(world):
    record = world.tree / run_file("mt", "run.json")
    text = record.read_text()
    record.unlink()
    record.write_text(text[: len(text) // 2])
    line = refusal(world, run_file("mt", "metrics.json"))
    assert line.startswith(f"error: {run_file('mt', 'run.json')}: cannot be read (")
    assert line.endswith("; delete it and start the workflow again")


def test_a_tree_of_ones_own_is_described_by_its_job(world):
    """A job is given the settings of its own corpus, and may ask for no other's."""
    job = jobs(world.flow)[table("weak", "clips")]
    with world.inside():
        audit = Path(table("weak", "audit"))
        before = audit.read_text()
        audit.unlink()
        carry_out(job, world.checkout)
        assert audit.read_text() == before
        assert audit.read_text().splitlines()[1].split("\t")[-1].startswith("own")
