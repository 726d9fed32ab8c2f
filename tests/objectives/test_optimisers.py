"""Optimisers are PyTorch's, number by number, and training does not wait for its compiler."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from sedrepro.objectives import optimisers


def trained(kind: type[torch.optim.Optimizer], half: dict | None = None) -> tuple[nn.Module, dict]:
    """A small network after steps of two groups; `half` is taken over as a resumed run does."""
    torch.manual_seed(4)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    groups = [
        {"params": network[0].parameters(), "lr": 0.03},
        {"params": network[2].parameters(), "lr": 0.01, "weight_decay": 0.1},
    ]
    optimiser = kind(groups)
    if half:
        optimiser.load_state_dict(copy.deepcopy(half))
    for _ in range(5):
        optimiser.zero_grad(set_to_none=True)
        network(torch.randn(8, 5)).square().mean().backward()
        optimiser.step()
    return network, optimiser.state_dict()


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_every_step_is_pytorchs(name):
    ours, theirs = getattr(optimisers, name), getattr(torch.optim, name)
    assert issubclass(ours, theirs)
    half = None
    for _ in range(2):  # from the start, and from a saved state
        network, state = trained(ours, half)
        expected, half = trained(theirs, half)
        for one, other in zip(network.parameters(), expected.parameters(), strict=True):
            assert torch.equal(one, other)
        assert state["param_groups"] == half["param_groups"]
        for place, values in half["state"].items():
            for key, value in values.items():
                assert torch.equal(state["state"][place][key], value)


PAPERS = Path(__file__).parents[1] / "papers"
WORK = {
    "a step": """
from tiny import random_batch, tiny_method, tiny_plan
plan = tiny_plan("lgc_sed", "lgc")
method = tiny_method(plan)
optimiser = method.optimiser()
optimiser.zero_grad(set_to_none=True)
terms = method.losses(random_batch(plan), 0)
sum(term.value for term in terms.values()).backward()
optimiser.step()
optimiser.load_state_dict(optimiser.state_dict())
""",
    "weights of others": """
from sedrepro.networks.atst import Atst
from sedrepro.networks.beats import Beats, Config
from sedrepro.networks.weights import skeleton
with skeleton():
    networks = Atst(width=64, depth=1), Beats(Config(encoder_layers=1))
assert all(value.is_meta for one in networks for value in one.state_dict().values())
""",
}


@pytest.mark.parametrize("work", WORK)
def test_pytorchs_compiler_is_not_loaded(work):
    """That takes two seconds of every job."""
    code = f"import sys\n{WORK[work]}\nassert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PAPERS)
