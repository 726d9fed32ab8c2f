"""Every paper's networks at the size of the paper: one step each, on a clip per group."""

from __future__ import annotations

import re
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
# What has no part in the first step: a loss that begins in a later epoch, and what stands before a
# layer of zeros.
LATER = r"student\.projector\."
BEFORE_ZEROS = r"student\.adapters\.\d+\.(gain|(long|short)\.down\..*)"
ADAPTERS = r"network\.localiser\.(visual|audio)_adapter\.(down|norm|scale).*"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    encoders.draw(folder / "beats.pt")
    weights.write(folder / "atst.ckpt", weights.atst(0))
    return {"beats": folder / "beats.pt", "atst_frame": folder / "atst.ckpt"}


@pytest.mark.parametrize(
    ("paper", "row", "changes", "still"),
    [
        ("lgc_sed", "lgc", DCASE, LATER),
        ("cross_task_sod", "full", DCASE, ""),
        ("weak_mtl", "2apae", {"batch": 1}, ""),
        ("mtda_hsed", "baseline_coherent", HETERO, ""),
        pytest.param(*("mtda_hsed", "mtda_hsed", HETERO, BEFORE_ZEROS), marks=pytest.mark.system),
        ("dmsf_avel", "av_att", VIDEOS, ""),
        ("dmsf_avel", "dmrn", VIDEOS, ""),
        ("dmsf_avel", "psp", VIDEOS, ""),
        ("dmsf_avel", "cmran", VIDEOS, ""),
        ("dmsf_avel", "dmsf", VIDEOS, ADAPTERS),
    ],
)
def test_a_step_moves_all_that_has_a_part_in_it(root, files, paper, row, changes, still):
    overlay = {"papers": {paper: {"settings": changes}}}
    models = papers.settings_models()
    project = settings.load(overlay, papers=models, root=root)
    spec = project.papers[paper]
    run = settings.Run(paper, row, next(iter(spec.conditions)), 0, (spec.folds or [None])[0])
    plan = settings.plan(project, run, models[paper])
    trainer = prepared(plan, torch.device("cpu"), 10, False, files)
    trained = {id(p) for group in trainer.optimiser.param_groups for p in group["params"]}
    named = trainer.method.networks.named_parameters()
    named = {name: parameter for name, parameter in named if id(parameter) in trained}
    assert len(named) == len(trained)
    before = {name: parameter.detach().clone() for name, parameter in named.items()}
    trainer._step(trainer.drawn)
    assert all(p.grad.isfinite().all() for p in named.values() if p.grad is not None)
    stayed = {name for name, old in before.items() if torch.equal(old, named[name])}
    assert stayed == {name for name in named if re.match(still or "$", name)}
