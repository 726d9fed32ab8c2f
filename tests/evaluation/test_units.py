"""Which clips are drawn together, and that a resample is what it says: units drawn again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from sedrepro import papers, settings, tables
from sedrepro.clips import Clip
from sedrepro.evaluation import maestro, tagging
from sedrepro.evaluation.measures import Scored, Truth
from sedrepro.evaluation.units import linked, units
from sedrepro.metrics.bootstrap import Drawing, draws
from sedrepro.mixtures import recipe
from sedrepro.mixtures.snr_mix import RECIPE
from sedrepro.settings import HeldOut, Subset
from sedrepro.settings.blocks import Decoding
from sedrepro.settings.classes import MAESTRO_SCORED
from sedrepro.settings.project import Report
from sedrepro.settings.runs import Run, plan

OWN = "sedrepro"


def with_unit(unit: str) -> HeldOut:
    return HeldOut("held_out", Subset("any", "set"), (), unit=unit)


def test_clips_are_their_own_units_unless_a_set_says_otherwise():
    assert units(HeldOut("validation", Subset("desed", "validation"), ()), ["b", "a"], {}) == [
        "b",
        "a",
    ]


def test_windows_are_of_their_recording_and_rows_of_their_video():
    windows = ["cafe_00-000000-001000", "cafe_00-000100-001100", "cafe_01-000000-001000"]
    assert units(with_unit("recording"), windows, {}) == ["cafe_00", "cafe_00", "cafe_01"]
    # Rows 7 and 93 of the annotations are of one video, whose name has a low line of its own.
    rows = ["7_ab_cd", "93_ab_cd", "8_xy"]
    assert units(with_unit("video"), rows, {}) == ["ab_cd", "ab_cd", "xy"]


def test_mixtures_of_the_same_recordings_are_one_unit(tmp_path):
    mixed = {"m0": "abc", "m1": "def", "m2": "cab", "m3": "def", "m4": "ghi", "m5": "ijk"}
    rows = [
        (clip, 10.0, "scene", f"{name}.wav", onset, onset + 1, 20.0)
        for clip, names in mixed.items()
        for onset, name in enumerate(names)
    ]
    path = tmp_path / "snr20.tsv"
    tables.write(path, pd.DataFrame(rows, columns=RECIPE), RECIPE)
    listed = {clip: Clip(clip, "snr20", 10.0, recipe=str(path)) for clip in mixed}
    found = units(with_unit("events"), list(mixed), listed)
    together = [{clip for clip, of in zip(mixed, found, strict=True) if of == one} for one in found]
    # m4 and m5 share one recording of three: they depend on each other too.
    assert together == [
        {"m0", "m2"},
        {"m1", "m3"},
        {"m0", "m2"},
        {"m1", "m3"},
        {"m4", "m5"},
        {"m4", "m5"},
    ]


def test_a_chain_of_mixtures_is_one_unit_and_has_no_interval():
    chain = linked([["a", "b"], ["b", "c"], ["c", "d"]])
    assert len(set(chain)) == 1
    found = Drawing(chain, 100, 0.95).interval(Share(np.array([1.0, 0, 1])), float)
    assert found == (2 / 3, None, None)


class Share:
    """Right decisions, one per clip."""

    def __init__(self, right: np.ndarray) -> None:
        self.right = right
        self.n_clips = len(right)

    def total(self) -> float:
        return float(self.right.mean())

    def resampled(self, weights: np.ndarray) -> list[float]:
        return list(weights @ self.right / weights.sum(axis=1))


def test_the_published_recipe_repeats_its_triples(acceptance, project):
    listed = pd.read_csv(acceptance / "snr-mix" / "fsdkaggle2018_train_post_competition.csv.xz")
    drawn = recipe.draw((listed["manually_verified"] == 1).to_numpy(), 14400, project.data.snr_mix)
    count = {}
    for fold in recipe.FOLDS:
        found = linked(drawn.events[drawn.fold == fold].astype(str).tolist())
        count[fold] = len(set(found))
        if fold == 4:
            assert set(pd.Series(found).value_counts()) == {6, 7}
    # Of 925 and 952 recordings, no multiples of three, the mixtures form a single chain.
    assert count == {1: 1, 2: 1, 3: 302, 4: 309}


@pytest.fixture(scope="module")
def project(root):
    return settings.load({}, papers=papers.settings_models(), root=root)


def test_every_paper_declares_its_units(project):
    declared = {}
    for paper, model in papers.settings_models().items():
        spec = project.papers[paper]
        row = next(name for name in spec.table if spec.table[name].kind == "train")
        for one in plan(project, Run(paper, row, next(iter(spec.conditions)), 42), model).held_out:
            declared[one.subset.corpus, one.metrics] = one.unit
            # What is scored as recordings is drawn as recordings.
            assert (one.unit == "recording") == ("maestro" in one.metrics)
    corpora = {corpus: unit for (corpus, _), unit in declared.items()}
    assert corpora == {
        "desed": "clip",
        "maestro": "recording",
        "ave": "video",
        "snr_mix": "events",
    }


TRIPLES = 8


@pytest.fixture(scope="module")
def repeated():
    """Eight triples, the first heard thrice, the others twice, in mixed order."""
    rng = np.random.default_rng(3)
    unit = rng.permutation(np.array([0] + list(range(TRIPLES)) * 2))
    tags = (rng.random((TRIPLES, 2)) < 0.5)[unit]
    scores = rng.random((len(unit), 2)) + 0.4 * tags
    clips = [f"{n:05d}" for n in range(len(unit))]
    rows = [
        (clip, "AB"[k], 0.1, 0.5, 1.0)
        for clip, of in zip(clips, tags, strict=True)
        for k in np.flatnonzero(of)
    ]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    truth = Truth(
        clips, np.full(len(unit), 1.0), ["A", "B"], events, None, units=[f"u{n}" for n in unit]
    )
    return unit, tags, scores, truth


class Settings:
    decoding = Decoding()


def test_a_resample_is_the_clips_of_the_drawn_units_repeated(repeated):
    """Slowly: draw units, list all clips of each as often as it is drawn, ask scikit-learn."""
    unit, tags, scores, truth = repeated
    numbered = list(dict.fromkeys(unit))  # units count in the order in which they first occur
    slow = []
    for times in draws(TRIPLES, 60):
        listed = []
        for number, n in zip(numbered, times, strict=True):
            for _ in range(n):
                listed += [clip for clip in range(len(unit)) if unit[clip] == number]
        slow.append(average_precision_score(tags[listed].ravel(), scores[listed].ravel()))
    scored = Scored("held_out", "network", 0.1, {"clip": scores})
    found = tagging.measure(scored, truth, Settings(), Report(bootstrap=60))
    assert found.values["micro_ap", OWN, ""].values == pytest.approx(slow)
    assert len(set(np.round(slow, 9))) > 30


def test_drawing_triples_is_wider_than_drawing_mixtures():
    """A triple that is hard is hard every time: six clips of it tell little more than one."""
    rng = np.random.default_rng(1)
    hard = np.repeat(rng.random(300) < 0.4, 6).astype(float)
    names = [str(n) for n in np.repeat(np.arange(300), 6)]
    wide = Drawing(names, 400, 0.95).interval(Share(hard), float)
    narrow = Drawing(range(1800), 400, 0.95).interval(Share(hard), float)
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(np.sqrt(6), rel=0.12)


def test_clips_that_do_not_count_are_drawn_no_more(repeated):
    *_, truth = repeated
    kept = np.array([unit != "u3" for unit in truth.units])
    drawing = truth.only(kept).drawing(Report(bootstrap=5))
    assert drawing.n_units == TRIPLES - 1
    assert drawing.weights.shape == (5, kept.sum())


def test_recordings_are_drawn_with_all_their_windows():
    """Windows of a recording overlap: its segments count as often as it is drawn."""
    rng = np.random.default_rng(1)
    names = [f"cafe_{n:02d}" for n in range(6)]
    windows = ("-000000-000400", "-000200-000600")
    clips = [f"{name}{window}" for name in names for window in windows]
    label = MAESTRO_SCORED[0]
    rows = [(clip, label, 0.0, float(rng.integers(1, 4)), 1.0) for clip in clips]
    truth = Truth(
        clips,
        np.full(len(clips), 4.0),
        [label],
        pd.DataFrame(rows, columns=tables.EVENTS),
        None,
        units=[clip.rsplit("-", 2)[0] for clip in clips],
    )
    frame = rng.random((len(clips), 4, 1))
    scored = Scored("maestro", "teacher@last", 1.0, {"frame": frame})
    found = maestro.measure(scored, truth, Settings(), Report(bootstrap=25))
    got = found.values["segment_f1_best", OWN, ""].values
    for value, times in zip(got, draws(6, 25), strict=True):
        drawn = [(n, k) for n, many in enumerate(times) for k in range(many)]
        again = [f"copy{n}{k}{window}" for n, k in drawn for window in windows]
        place = [2 * n + w for n, _ in drawn for w in (0, 1)]
        events = pd.DataFrame(
            [(clip, *rows[p][1:]) for clip, p in zip(again, place, strict=True)],
            columns=tables.EVENTS,
        )
        copied = Truth(again, np.full(len(again), 4.0), [label], events, None)
        direct = maestro.measure(
            Scored("maestro", "teacher@last", 1.0, {"frame": frame[place]}),
            copied,
            Settings(),
            Report(bootstrap=0),
        )
        assert value == pytest.approx(direct.values["segment_f1_best", OWN, ""].value)
