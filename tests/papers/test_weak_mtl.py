"""weak_mtl: every row steps by the definition of its loss, on standardised input."""

import copy

import numpy as np
import pytest
import torch
from tiny import ROOT, random_batch, tiny_method, tiny_plan

from sedrepro.errors import SedreproError
from sedrepro.papers import settings_models
from sedrepro.papers.contract import Epoch
from sedrepro.settings import Run, load, plan

ROWS = {
    "gap": ("gap", None),
    "gmp": ("gmp", None),
    "gwrp": ("gwrp", None),
    "atrous_ap": ("atrous_ap", None),
    "2ap": ("two_step", 0.0),
    "2apae": ("two_step", 0.001),
    "2apae_e2": ("two_step", 0.01),
    "2apae_e1": ("two_step", 0.1),
}


def started(row, changes=None):
    """A method that has seen its data, and a batch."""
    method = tiny_method(tiny_plan("weak_mtl", row, changes))
    batch = random_batch(method.plan)
    method.prepare(lambda: iter([batch.inputs]))
    return method, batch


def total(terms):
    return sum(term.weight * term.value for term in terms.values())


@pytest.fixture(scope="module")
def project():
    return load(papers=settings_models(), root=ROOT)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_takes_a_step(row):
    method, batch = started(row)
    pooling, alpha = ROWS[row]
    assert method.settings.pooling == pooling
    before = copy.deepcopy(method.networks["network"].state_dict())
    optimiser = torch.optim.Adam(method.param_groups())
    loss = total(method.losses(batch, 1))
    loss.backward()
    optimiser.step()
    after = method.networks["network"].state_dict()
    still = {name for name in after if torch.equal(after[name], before[name])}
    # Without an auxiliary task the decoder is there and never moves.
    assert all(name.startswith("decoder") for name in still)
    assert bool(still) == (alpha == 0)


def test_loss_is_the_definition():
    method, batch = started("2apae_e1")
    terms = method.losses(batch, 1)
    with torch.no_grad():
        values = batch.inputs["logmel64"]
        mean = values.double().mean((0, 2), keepdim=True)
        x = ((values - mean) / values.double().std((0, 2), correction=0, keepdim=True)).mT.float()
        found = method.networks["network"](x, reconstruct=True)
    y, t = found.clip.double(), batch.clips.double()
    entropy = -(t * y.log() + (1 - t) * (1 - y).log()).sum() / t.numel()
    error = (found.reconstruction.double() - x).square().sum() / x.numel()
    assert terms["tags"].value.item() == pytest.approx(entropy.item(), rel=1e-4)
    assert terms["reconstruction"].value.item() == pytest.approx(error.item(), rel=1e-4)
    assert total(terms).item() == pytest.approx((entropy + 0.1 * error).item(), rel=1e-4)


@pytest.mark.parametrize("row", ["gwrp", "atrous_ap", "2ap"])
def test_other_rows_have_no_second_term(row):
    method, batch = started(row)
    assert set(method.losses(batch, 1)) == {"tags"}


def test_statistics_are_of_all_clips_and_frames():
    method, _ = started("2apae")
    rng = np.random.default_rng(0)
    shape = method.plan.front_ends["logmel64"].shape
    clips = rng.normal(-9, 2, (50, *shape)).astype(np.float32)
    clips[:, 3] = -18.4  # a band that is silent throughout
    tensors = torch.from_numpy(clips)
    method.prepare(lambda: ({"logmel64": part} for part in tensors.split(7)))
    buffers = method.networks["standardise"]
    np.testing.assert_allclose(buffers.mean[:, 0], clips.mean((0, 2)), rtol=1e-5)
    wanted = clips.astype(np.float64).std((0, 2))
    wanted[3] = 1
    np.testing.assert_allclose(buffers.deviation[:, 0], wanted, rtol=1e-5)
    found = method.normalised({"logmel64": tensors})
    assert found.shape == (50, shape[1], shape[0])
    np.testing.assert_allclose(found.mean((0, 1)), 0, atol=1e-4)
    # They are kept with the networks, so a checkpoint has them.
    assert "mean" in method.networks["standardise"].state_dict()


def test_frame_scores_can_be_left_out():
    method, batch = started("2apae")
    method.networks.eval()
    assert set(method.scores("network", batch.inputs)) == {"clip", "frame"}
    method, batch = started("2apae", {"frame_scores": False})
    method.networks.eval()
    assert set(method.scores("network", batch.inputs)) == {"clip"}


def test_rate_falls_on_a_plateau_and_survives_a_restart():
    method, _ = started("2apae")
    for score in (0.5, 0.4, 0.4, 0.4):
        method.on_epoch(Epoch(0, {"held_out/network/micro_ap": score}, lambda: iter(())))
        assert method.rate(1) == 1
    other, _ = started("2apae")
    other.load_state(method.state())
    for one in (method, other):
        one.on_epoch(Epoch(0, {}, lambda: iter(())))  # no validation, no judgement
        one.on_epoch(Epoch(0, {"held_out/network/micro_ap": 0.4}, lambda: iter(())))
        assert one.rate(1) == pytest.approx(0.1)


def test_maps_for_figures():
    method, batch = started("2apae")
    method.networks.eval()
    maps = method.explain(batch.inputs)
    (bands, frames), n = method.plan.front_ends["logmel64"].shape, 4
    shapes = {name: tuple(values.shape) for name, values in maps.items()}
    assert shapes == {
        "input": (n, bands, frames),
        "standardised": (n, bands, frames),
        "reconstruction": (n, bands, frames),
        "clip": (n, 3),
        "frame": (n, frames, 3),
        "frequency": (n, 3, frames, bands),
        "time": (n, 3, frames),
    }
    torch.testing.assert_close(maps["frequency"].sum(-1), torch.ones(n, 3, frames))
    torch.testing.assert_close(maps["time"].sum(-1), torch.ones(n, 3))
    torch.testing.assert_close(maps["input"].log(), batch.inputs["logmel64"])
    method, batch = started("gwrp")
    assert set(method.explain(batch.inputs)) == {"input", "standardised", "clip", "frame"}


def test_scores_do_not_tie_under_mixed_precision():
    """What is behind the class maps runs in float32: bfloat16 has 8 bits."""
    method, batch = started("2apae")
    method.networks.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        clip = method.networks["network"](method.normalised(batch.inputs)).clip
    assert clip.dtype == torch.float32
    assert (clip != clip.bfloat16().float()).any()


def test_full_size_is_the_papers(project):
    model = settings_models()["weak_mtl"]
    made = plan(project, Run("weak_mtl", "2apae", "snr10", 42, 4), model)
    assert (made.grid.frames, made.front_ends["logmel64"].shape) == (311, (64, 311))
    assert made.grid.seconds == pytest.approx(0.032)
    assert len(made.classes) == 41
    (stream,), (held_out,) = made.streams, made.held_out
    assert (stream.group, stream.labels) == (24, "clips")
    assert (held_out.name, held_out.selects, held_out.reports) == ("held_out", True, True)
    settings = made.settings
    assert (settings.training.epochs, settings.training.learning_rate) == (80, 1e-3)
    assert settings.training.keep == ["best", "last"]
    assert (settings.alpha, settings.network.gwrp_decay) == (0.001, 0.9998)
    assert (settings.plateau.patience, settings.plateau.factor) == (3, 0.1)


@pytest.mark.parametrize("fold", [1, 4])
def test_the_runs_fold_is_held_out_and_the_others_train(project, fold):
    model = settings_models()["weak_mtl"]
    made = plan(project, Run("weak_mtl", "gwrp", "snr0", 42, fold), model)
    (stream,), (held_out,) = made.streams, made.held_out
    (trained,) = stream.subsets
    assert (trained.corpus, trained.name) == ("snr_mix", "snr0")
    assert [k for k in "1234" if trained.holds(k)] == [k for k in "1234" if k != str(fold)]
    assert [k for k in "1234" if held_out.subset.holds(k)] == [str(fold)]
    assert made.describe()["settings"]["fold"] == fold
    assert made.inputs() == [(type(trained)("snr_mix", "snr0"), "logmel64")]


@pytest.mark.parametrize("snr", [-31, "loud"])
def test_wrong_ratio_is_one_clear_line(snr):
    overlay = {"papers": {"weak_mtl": {"conditions": {"snr10": {"snr": snr}}}}}
    with pytest.raises(SedreproError, match=r"weak_mtl\.conditions\.snr10\.snr") as caught:
        load(overlay, papers=settings_models(), root=ROOT)
    assert "\n" not in str(caught.value)


def test_other_front_end_is_refused():
    overlay = {"papers": {"weak_mtl": {"settings": {"front_end": "mel128"}}}}
    with pytest.raises(SedreproError, match="mel128 must be of kind stft_logmel"):
        load(overlay, papers=settings_models(), root=ROOT)


def test_published_cells_are_all_there(root):
    """Every number of the slides: 45 + 9 + 12 + 3 x 287; three spot checks."""
    import csv

    with open(root / "config/papers/weak_mtl/published.csv", newline="") as handle:
        cells = {
            (r["table"], r["row"], r["condition"], r["metric"]): float(r["published"])
            for r in csv.DictReader(handle)
        }
    assert len(cells) == 45 + 9 + 12 + 3 * 7 * 41
    assert cells["main", "2apae", "snr0", "micro_ap"] == 0.6986
    assert cells["alpha", "2ap", "snr10", "micro_ap"] == 0.7430
    assert cells["events_0db", "atrous_ap", "snr0", "ap[Bus]"] == 0.2
    # Means over the 41 classes, computed when they were transcribed.
    for (table, row), mean in {
        ("classes_0db", "gap"): 0.4062,
        ("classes_0db", "2ap"): 0.6781,
        ("classes_10db", "atrous_ap"): 0.7105,
        ("classes_10db", "2apae_e2"): 0.7265,
        ("classes_20db", "gwrp"): 0.7408,
        ("classes_20db", "2apae"): 0.7626,
    }.items():
        values = [v for key, v in cells.items() if key[:2] == (table, row)]
        assert len(values) == 41
        assert np.mean(values) == pytest.approx(mean, abs=5e-5)
