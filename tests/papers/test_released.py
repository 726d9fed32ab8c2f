"""Checkpoints of the shape that others released, in our networks at full size."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from sedrepro import papers, settings
from sedrepro.checkpoints import Named, load_checkpoint
from sedrepro.errors import SedreproError
from sedrepro.features.kinds import scaled
from sedrepro.inference.networks import as_input, load_networks
from sedrepro.networks.released import LAYOUTS, released_networks

SYSTEMS = {
    "dcase2021_baseline_like": ("dcase_crnn", "cross_task_sod", "mt", 1_113_675),
    "cross_task_sod_like": ("cross_task", "cross_task_sod", "full", 3_847_684),
}
"""Per file its layout, the row whose network it is, and the values of its student."""


def full_size(root, paper: str, row: str):
    models = papers.settings_models()
    project = settings.load({"run": [paper]}, papers=models, root=root)
    plan = settings.plan(project, settings.Run(paper, row, "desed", seed=42), models[paper])
    return papers.method_of(paper)(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)


@pytest.mark.parametrize("name", SYSTEMS)
def test_golden_scores_from_samples(root, acceptance, name):
    layout, paper, row, count = SYSTEMS[name]
    path = acceptance / f"released/{name}.ckpt"
    method = full_size(root, paper, row)
    states = released_networks(path, layout)
    load_networks(method, states, path)
    method.networks.eval()
    assert sum(value.numel() for value in states["student"].values()) == count
    golden = np.load(path.with_suffix(".npz"))
    stored = np.stack([scaled(samples / np.float32(32768)) for samples in golden["audio"]])
    inputs = {method.settings.front_end: as_input(torch.from_numpy(stored))}
    assert set(method.models()) == {"student", "teacher"}
    for model in method.models():
        with torch.no_grad():
            scores = method.scores(model, inputs)
        for kind in ("frame", "clip"):
            wanted = torch.from_numpy(golden[f"{model}_{kind}"])
            torch.testing.assert_close(scores[kind], wanted, rtol=0, atol=1e-4)


def test_what_lightning_kept_beside_the_weights_is_readable(acceptance):
    saved = load_checkpoint(acceptance / "released/dcase2021_baseline_like.ckpt")
    callbacks = "pytorch_lightning.callbacks"
    assert list(saved["callbacks"]) == [
        Named(f"{callbacks}.model_checkpoint.ModelCheckpoint"),
        Named(f"{callbacks}.early_stopping.EarlyStopping"),
    ]
    stopped = saved["callbacks"][Named(f"{callbacks}.early_stopping.EarlyStopping")]
    assert stopped["patience"] == 200
    settings = saved["hyper_parameters"]
    assert settings.name == "pytorch_lightning.utilities.parsing.AttributeDict"
    assert settings.state["feats"]["hop_length"] == 256


@pytest.mark.parametrize(("layout", "row"), [("dcase_crnn", "mt"), ("cross_task", "full")])
def test_a_layout_reaches_all_of_the_network(root, layout, row):
    method = full_size(root, "cross_task_sod", row)
    ours = [re.escape(name).replace(r"\{n\}", r"\d+") for name in LAYOUTS[layout].values()]
    reached = re.compile(rf"({'|'.join(ours)})(\.\w+|$)")
    assert not [key for key in method.networks["student"].state_dict() if not reached.match(key)]


NAMES = {
    r"cnn\.blocks\.(\d+)\.conv": r"cnn.cnn.conv\1",
    r"cnn\.blocks\.(\d+)\.norm": r"cnn.cnn.batchnorm\1",
    r"cnn\.blocks\.(\d+)\.gate\.linear": r"cnn.cnn.glu\1.linear",
    r"rnn\.": "rnn.rnn.",
    r"heads\.frame": "dense",
    r"heads\.attention": "dense_softmax",
    r"merge\.linear": "cat_tf",
}
"""Our names, and the recipe's: as the specification of the 2024 baseline lists them."""


def theirs(name: str) -> str:
    own = next(own for own in NAMES if re.match(own, name))
    return re.sub(f"^{own}", NAMES[own], name)


@pytest.mark.parametrize(
    "row",
    [
        "checkpoint2022_audioset",
        "checkpoint2023",
        "checkpoint2023_beats",
        "checkpoint2023_beats_audioset",
        "checkpoint2024",
    ],
)
def test_rows_that_wait_for_their_file_take_one_of_its_shape(root, tmp_path, row):
    """Lightning, student and teacher of different weights, and an encoder beside them."""
    models = papers.settings_models()
    project = settings.load({"run": ["dcase_baselines"]}, papers=models, root=root)
    run = settings.Run("dcase_baselines", row, "desed", seed=42)
    plan = settings.plan(project, run, models["dcase_baselines"])
    assert (plan.kind, plan.released.layout) == ("released", "dcase_crnn")

    def fresh():
        made = papers.method_of("dcase_baselines", plan.method)
        return made(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)

    source, method = fresh(), fresh()
    for values in source.networks["teacher"].parameters():
        values.add_(1.0)
    saved = {"mel_spec.spectrogram.window": torch.ones(2), "pretrained_model.x": torch.ones(2)}
    for model in ("student", "teacher"):
        for name, value in source.networks[model].state_dict().items():
            flat = value.flatten(1) if ".gate." in name and value.dim() == 4 else value
            saved[f"sed_{model}.{theirs(name)}"] = flat
    path = tmp_path / "released.ckpt"
    torch.save({"epoch": 1, "state_dict": saved}, path)
    load_networks(method, released_networks(path, plan.released.layout), path)
    for model, network in source.networks.items():
        for name, value in network.state_dict().items():
            assert torch.equal(method.networks[model].state_dict()[name], value), name


def test_atst_sed_takes_a_file_of_its_shape(root, tmp_path):
    """Two states under their names, each with a transformer inside; and it scores."""
    models = papers.settings_models()
    small = {"encoder": {"depth": 1}}
    overlay = {
        "run": ["dcase_baselines"],
        "papers": {"dcase_baselines": {"methods": {"atst": small}}},
    }
    project = settings.load(overlay, papers=models, root=root)
    run = settings.Run("dcase_baselines", "atst_sed_released", "desed", seed=42)
    plan = settings.plan(project, run, models["dcase_baselines"])
    assert plan.resources == ["atst_sed_checkpoint"]

    def fresh():
        made = papers.method_of("dcase_baselines", plan.method)
        return made(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)

    def atst_names(name: str) -> str:
        if name.startswith("transformer."):
            return name.replace("transformer.", "atst_frame.atst.", 1)
        return theirs(name).replace(".glu", ".cg")

    source, method = fresh(), fresh()
    saved = {}
    for model in ("student", "teacher"):
        state = source.networks[model].state_dict()
        saved[f"sed_{model}"] = {
            atst_names(name): v.flatten(1) if ".gate." in name and v.dim() == 4 else v
            for name, v in state.items()
        }
    path = tmp_path / "stage2.ckpt"
    torch.save(saved, path)
    load_networks(method, released_networks(path, plan.released.layout), path)
    waves = torch.randn(1, 160000) / 10
    for one in (source, method):
        one.networks.eval()
    with torch.no_grad():
        wanted, found = (one.scores("teacher", {"wave16k": waves}) for one in (source, method))
    assert found["frame"].shape == (1, 156, 10)
    assert torch.equal(found["frame"], wanted["frame"])
    assert torch.equal(found["clip"], wanted["clip"])


def test_what_does_not_fit_is_named(tmp_path):
    path, value = tmp_path / "a.ckpt", torch.zeros(2)
    for state, message in (
        ({"sed_student.dense.bias": value}, r"holds no sed_teacher.\*, so no teacher"),
        ({"sed_student.sed.bias": value}, "'sed.bias' has no place in a network of layout dcase"),
        ({"sed_student.densely.bias": value}, "'densely.bias' has no place"),
        ({"sed_student.dense.bias": [1]}, "holds a list under 'sed_student.dense.bias', no tensor"),
        ([value], "holds a list where weights should be"),
    ):
        torch.save({"state_dict": state}, path)
        with pytest.raises(SedreproError, match=message):
            released_networks(path, "dcase_crnn")
