"""Compiled training steps do what those of eager PyTorch do."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny import OVERLAYS, ROOT

from sedrepro import papers, settings
from sedrepro.inference.devices import prepare
from sedrepro.papers import contract
from sedrepro.training import rehearsal

MODELS = papers.settings_models()


def method_of(paper, row):
    project = settings.load(OVERLAYS[paper], papers=MODELS, root=ROOT)
    spec = project.papers[paper]
    run = settings.Run(paper, row, next(iter(spec.conditions)), 0, spec.run_folds[0])
    plan = settings.plan(project, run, MODELS[paper])
    prepare(0, 1, False)
    return rehearsal.trainer(plan, torch.device("cpu"), 10, False, {})


@pytest.mark.system
def test_steps_as_they_are_captured_are_those_of_eager_mode(monkeypatch):
    """Captured as for a compiler, but run by PyTorch: compiling takes minutes."""
    torch.compiler.reset()
    monkeypatch.setattr(contract.torch, "compile", partial(torch.compile, backend="aot_eager"))
    totals, weights = [], []
    for compiling in (False, True):
        made, batch = method_of("weak_mtl", "2apae")
        made.method.compiling = compiling
        for _ in range(5):
            made._step(batch)
        assert bool(made.method._compiled) == compiling
        totals.append(made.sums["total"])
        weights.append(torch.cat([p.detach().flatten() for p in made.method.networks.parameters()]))
    torch.testing.assert_close(*totals, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)


def test_only_training_is_compiled_each_network_once_and_graphs_are_for_gpus(monkeypatch):
    asked = []

    def compile(network, *, dynamic, mode):
        asked.append((dynamic, mode))
        return network

    monkeypatch.setattr(contract.torch, "compile", compile)
    made, batch = method_of("lgc_sed", "mt")
    made._step(batch)
    assert not asked
    made.method.compiling = "graphs"
    made._step(batch)
    made._step(batch)
    assert asked == [(False, None)] * 2  # student and teacher, on a CPU
    made.method.networks.eval()
    with torch.no_grad():
        made.method.scores("student", batch.inputs)
    assert len(asked) == 2
    made.method.networks.train()
    made.method._compiled.clear()
    made.method.device = torch.device("cuda")
    with torch.autocast("cpu", enabled=False):
        made.method._network("student")
    assert asked[-1] == (False, "reduce-overhead")
