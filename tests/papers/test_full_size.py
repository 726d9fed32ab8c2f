"""Every paper's networks at the size of the paper: one step each, on a clip per group."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from sedrepro import papers, settings
from sedrepro.miniature import weights

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import encoders

from training import prepared

pytestmark = pytest.mark.slow

DCASE = {"batch": {"synth": 1, "weak": 1, "unlabelled": 1}}
# Time is scarcer here than memory.
HETERO = {"batch": dict.fromkeys(encoders.GROUPS, 1), "encoder": {"save_memory": False}}
VIDEOS = {"batch": 2}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    encoders.draw(folder / "beats.pt")
    weights.write(folder / "atst.ckpt", weights.atst(0))
    return {"beats": folder / "beats.pt", "atst_frame": folder / "atst.ckpt"}


@pytest.mark.parametrize(
    ("paper", "row", "changes"),
    [
        ("lgc_sed", "lgc", DCASE),
        ("cross_task_sod", "full", DCASE),
        ("weak_mtl", "2apae", {"batch": 1}),
        ("mtda_hsed", "baseline_coherent", HETERO),
        ("mtda_hsed", "mtda_hsed", HETERO),
        ("dmsf_avel", "av_att", VIDEOS),
        ("dmsf_avel", "dmrn", VIDEOS),
        ("dmsf_avel", "psp", VIDEOS),
        ("dmsf_avel", "cmran", VIDEOS),
        ("dmsf_avel", "dmsf", VIDEOS),
    ],
)
def test_a_step(root, files, paper, row, changes):
    overlay = {"papers": {paper: {"settings": changes}}}
    models = papers.settings_models()
    project = settings.load(overlay, papers=models, root=root)
    spec = project.papers[paper]
    run = settings.Run(paper, row, next(iter(spec.conditions)), 0, (spec.folds or [None])[0])
    plan = settings.plan(project, run, models[paper])
    trainer = prepared(plan, torch.device("cpu"), 10, False, files)
    trained = [p for group in trainer.optimiser.param_groups for p in group["params"]]
    before = [parameter.detach().clone() for parameter in trained]
    trainer._step(trainer.drawn)
    assert all(p.grad.isfinite().all() for p in trained if p.grad is not None)
    moved = [not torch.equal(old, new) for old, new in zip(before, trained, strict=True)]
    # What stands behind a layer of zeros, or has its part in later epochs, does not move yet.
    assert sum(moved) > 0.6 * len(moved)
