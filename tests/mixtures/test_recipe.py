"""The published recipe, draw for draw: known mixtures of the real tables, and the repaired form."""

import numpy as np
import pandas as pd
import pytest

from sedrepro.errors import SedreproError
from sedrepro.mixtures import recipe
from sedrepro.settings import Data

AUTHORS = Data().snr_mix


@pytest.fixture(scope="module")
def tables(acceptance):
    folder = acceptance / "snr-mix"
    files = pd.read_csv(folder / "fsdkaggle2018_train_post_competition.csv.xz")
    scenes = pd.read_csv(folder / "tau2019_meta.csv.xz", sep="\t")
    return files, scenes, (files["manually_verified"] == 1).to_numpy()


@pytest.fixture(scope="module")
def drawn(tables):
    _, scenes, verified = tables
    return recipe.draw(verified, len(scenes), AUTHORS)


def labels(tables, draws):
    return tables[0]["label"].to_numpy()[draws.events]


def test_fold_sizes(tables):
    files, _, verified = tables
    fold = recipe.folds(len(files), 1234)
    assert [int((verified & (fold == k)).sum()) for k in recipe.FOLDS] == [925, 952, 906, 927]


KNOWN = """
0    1 c724bd21 Finger_snapping  368137a8 Bass_drum 26d25b30 Gunshot_or_gunfire 8036
1    1 51402418 Double_bass a2d89a87 Gunshot_or_gunfire e7320b5e Violin_or_fiddle 658
2000 2 8a853191 Telephone   26ee3a88 Tearing            ac319796 Finger_snapping  4084
4000 3 12d4ec7c Trumpet     3586bc2d Violin_or_fiddle   ff95ac47 Finger_snapping  4596
6000 4 8a364f26 Applause    6412f485 Bark               0d8012f4 Saxophone        3743
6031 4 a8683041 Double_bass 591a127b Cough              2f4f25e0 Trumpet          45567
7999 4 e89ebeb9 Violin_or_fiddle 3db64708 Telephone 89055011 Violin_or_fiddle     45010
"""
SCENES = {
    "8036": "street_pedestrian-paris-265-8036-a",
    "658": "bus-barcelona-16-658-a",
    "4084": "shopping_mall-stockholm-135-4084-a",
    "4596": "street_pedestrian-london-151-4596-a",
    "3743": "shopping_mall-barcelona-126-3743-a",
    "45567": "shopping_mall-milan-1183-45567-a",
    "45010": "park-lyon-1188-45010-a",
}


@pytest.mark.parametrize("known", KNOWN.strip().splitlines())
def test_known_mixtures(tables, drawn, known):
    table, scenes, _ = tables
    number, fold, *events, scene = known.split()
    rows = table.iloc[drawn.events[int(number)]]
    assert drawn.fold[int(number)] == int(fold)
    assert rows["fname"].tolist() == [f"{name}.wav" for name in events[::2]]
    assert rows["label"].tolist() == events[1::2]
    assert scenes["filename"][drawn.scene[int(number)]] == f"audio/{SCENES[scene]}.wav"


def test_the_example_of_the_original_code(tables):
    """Its doc-string was written with the 8,640 scenes of 2018."""
    draws = recipe.draw(tables[2], 8640, AUTHORS)
    rows = tables[0].iloc[draws.events[0]]
    assert rows["label"].tolist() == ["Tambourine", "Scissors", "Computer_keyboard"]
    assert rows["fname"].tolist() == ["19f45b13.wav", "63874688.wav", "cd3e20ec.wav"]
    assert draws.scene[0] == 1861
    assert sum(len(set(row)) < 3 for row in labels(tables, draws)) == 710


def test_repeats_come_back_as_in_the_authors_code(tables, drawn):
    distinct = [len(np.unique(drawn.events[drawn.fold == k], axis=0)) for k in recipe.FOLDS]
    assert distinct == [925, 952, 302, 309]
    assert sum(len(set(row)) < 3 for row in labels(tables, drawn)) == 694


def test_fixed_recipe_shuffles_every_repeat(tables, drawn):
    _, scenes, verified = tables
    fixed = recipe.draw(verified, len(scenes), AUTHORS.model_copy(update={"recipe": "fixed"}))
    distinct = [len(np.unique(fixed.events[fixed.fold == k], axis=0)) for k in recipe.FOLDS]
    assert min(distinct) > 1990
    np.testing.assert_array_equal(fixed.scene, drawn.scene)
    fold = recipe.folds(len(verified), 1234)
    for k in recipe.FOLDS:
        assert (fold[fixed.events[fixed.fold == k]] == k).all()
        assert verified[fixed.events[fixed.fold == k]].all()


def test_folds_share_no_event_and_mixtures_no_scene(drawn):
    sets = [set(drawn.events[drawn.fold == k].ravel()) for k in recipe.FOLDS]
    assert sum(map(len, sets)) == len(set().union(*sets))
    assert len(set(drawn.scene)) == len(drawn.scene) == 8000


def small(**changes):
    return AUTHORS.model_copy(update={"clips_per_fold": 5, **changes})


def test_fewer_scenes_than_mixtures():
    with pytest.raises(SedreproError, match=r"lists 19 scenes .* each of 20 mixtures"):
        recipe.draw(np.ones(40, bool), 19, small())


def test_a_fold_without_a_verified_recording():
    verified = recipe.folds(40, 1234) != 3
    with pytest.raises(SedreproError, match="fold 3 has no verified"):
        recipe.draw(verified, 20, small())


def test_seed_and_number_of_events_are_settings():
    verified = np.ones(40, bool)
    first, second = (recipe.draw(verified, 20, small(seed=seed)) for seed in (1, 2))
    assert (first.events != second.events).any()
    assert recipe.draw(verified, 20, small(onsets=[0.5])).events.shape == (20, 1)
