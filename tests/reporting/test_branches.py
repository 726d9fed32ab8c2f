"""What two branches see of a clip: clips that are shown, events that are boxed, titles."""

from __future__ import annotations

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from sedrepro.reporting.examples import Examples
from sedrepro.reporting.figures import branches

SECONDS = 5.0
# Of 5 s, 1.5 s and more are long: the event of 1.2 s is short.
TRUTH = {
    "long_only": [("Blender", 0.0, 4.0)],
    "both": [("Blender", 0.0, 3.0), ("Dog", 3.2, 4.4), ("Dog", 4.5, 4.9)],
    "short_only": [("Dog", k / 2, k / 2 + 0.3) for k in range(6)],
    "few": [("Speech", 1.0, 4.5), ("Cat", 0.2, 0.5)],
}


@pytest.fixture
def material(tmp_path):
    """The baseline and the whole method, the latter with maps of its adapters' branches."""

    def record(row, names, *, use):
        path = tmp_path / f"{row}.h5"
        with h5py.File(path, "w") as file:
            for clip in TRUTH:
                for name in names:
                    file[f"{clip}/{name}"] = np.random.default_rng(0).random((4, 20))
        settings = {"shown_block": 2 + use, "dbmf": {"use": use}}
        return SimpleNamespace(
            run=SimpleNamespace(row=row), file=lambda _: path, block=lambda _: settings
        )

    shown = Examples(
        clips=list(TRUTH),
        truth=TRUTH,
        seconds=dict.fromkeys(TRUTH, SECONDS),
        span=dict.fromkeys(TRUTH, SECONDS),
        spectra=dict.fromkeys(TRUTH, np.zeros((8, 30))),
    )
    maps = ["cnn_map", "long", "short"]
    return SimpleNamespace(
        done=[
            record("baseline", maps[:1], use=False),
            record("mtda_hsed", maps, use=True),
        ],
        examples=shown,
        paper=SimpleNamespace(headline=["baseline", "mtda_hsed"], baseline="baseline"),
        label=lambda row: {"baseline": "Baseline", "mtda_hsed": "MTDA-HSED"}[row],
    )


def title(axis):
    return axis.get_title(loc="left")


def boxes(axis):
    return sorted(
        (round(p.get_x(), 3), round(p.get_x() + p.get_width(), 3))
        for p in axis.patches
        if isinstance(p, Rectangle)
    )


def test_every_event_is_boxed_as_long_or_as_short(material):
    drawn = branches.adapters(material)
    # Clips with both kinds come first, of these the one with more short events.
    assert [title(axis) for axis in drawn.axes[:2]] == ["both", "few"]
    for column, clip in enumerate(("both", "few")):
        spectrum, long, short = (drawn.axes[2 * line + column] for line in range(3))
        events = sorted((onset, offset) for _, onset, offset in TRUTH[clip])
        assert boxes(spectrum) == events
        assert sorted(boxes(long) + boxes(short)) == events
        assert boxes(long) == [e for e in events if e[1] - e[0] >= 1.5]


def test_titles_say_which_block_of_the_cnn_is_shown(material):
    drawn = branches.aggregation(material)
    titles = [text for axis in drawn.axes if (text := title(axis)) and text not in TRUTH]
    assert titles == [
        *["Baseline, CNN block 2"] * 2,
        *["MTDA-HSED, CNN block 3"] * 2,
    ]
    assert "counted from 0" in drawn.get_suptitle()
