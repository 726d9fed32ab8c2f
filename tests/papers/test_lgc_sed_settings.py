"""LGC-SED's settings are the paper's unless a row says otherwise."""

import pytest
from tiny import ROOT, tiny_plan

from sedrepro.errors import SedreproError
from sedrepro.papers import settings_models
from sedrepro.settings import Run, load, plan


@pytest.fixture(scope="module")
def project():
    return load(papers=settings_models(), root=ROOT)


def test_full_size_is_the_papers(project):
    made = plan(project, Run("lgc_sed", "lgc", "desed", 42), settings_models()["lgc_sed"])
    assert made.grid.frames == 156
    assert made.grid.seconds == pytest.approx(0.064)
    assert made.settings.network.time_pooling == 4
    assert [(s.name, s.group, s.labels) for s in made.streams] == [
        ("synth", 12, "frames"),
        ("weak", 12, "clips"),
        ("unlabelled", 24, "none"),
    ]
    assert made.settings.decoding.windows(made.classes) == [3, 28, 7, 4, 7, 22, 48, 19, 10, 50]
    assert made.settings.training.epochs == 200
    selecting = [held_out.name for held_out in made.held_out if held_out.selects]
    assert selecting == ["synth_validation"]


@pytest.mark.parametrize(
    ("row", "clc", "pgc"),
    [("mt", False, False), ("clc", True, False), ("pgc", False, True), ("lgc", True, True)],
)
def test_rows_are_two_switches(project, row, clc, pgc):
    made = plan(project, Run("lgc_sed", row, "desed", 42), settings_models()["lgc_sed"])
    assert (made.settings.clc.use, made.settings.pgc.use) == (clc, pgc)


def test_median_7_reads_the_dcase_baselines_scores(project):
    made = plan(project, Run("lgc_sed", "mt_median7", "desed", 42), settings_models()["lgc_sed"])
    assert made.source == Run("dcase_baselines", "mt2021", "desed", 42)
    assert made.settings.decoding.windows(made.classes) == [7] * 10
    assert made.streams == []


def test_real_strong_labels_join_the_synthetic_ones(project):
    made = plan(
        project, Run("lgc_sed", "lgc_strong_real", "desed", 42), settings_models()["lgc_sed"]
    )
    assert [subset.name for subset in made.streams[0].subsets] == ["strong_real", "synth_train"]
    assert [stream.group for stream in made.streams] == [12, 12, 24]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"pooling": [[2, 2], [2, 4]]}, "15 × 2"),
        ({"pooling": [[2, 4]]}, "2 filters need as many poolings, not 1"),
        ({"gate": "relu"}, "network.gate"),
    ],
)
def test_a_network_that_cannot_be_is_one_clear_line(network, message):
    with pytest.raises(SedreproError) as caught:
        tiny_plan("lgc_sed", "lgc", {"network": network})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
