"""Mixed precision on a CPU: the same gradients and losses, as far as eight bits carry."""

import pytest
import torch
from tiny import random_batch, tiny_method, tiny_plan

from sedrepro.inference import devices
from sedrepro.settings import Project
from sedrepro.training.run import precision

ROWS = [("lgc_sed", "mt"), ("cross_task_sod", "full"), ("weak_mtl", "2apae")]


def losses_and_gradients(paper, row, *, amp, steps):
    """Of a few steps with the same masks and mixtures."""
    method = tiny_method(tiny_plan(paper, row))
    method.amp = amp
    batch, optimiser = random_batch(method.plan), method.optimiser()
    losses, gradients = [], []
    for step in range(1, steps + 1):
        torch.manual_seed(step)
        method.networks.train()
        loss = sum(term.weight * term.value for term in method.losses(batch, step).values())
        optimiser.zero_grad()
        loss.backward()
        learnt = [p.grad.flatten() for p in method.networks.parameters() if p.grad is not None]
        gradients.append(torch.cat(learnt))
        losses.append(loss.item())
        optimiser.step()
    return losses, gradients


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_gradients_point_where_those_in_float32_do(paper, row):
    plain, mixed = (losses_and_gradients(paper, row, amp=amp, steps=1) for amp in (False, True))
    assert not torch.equal(plain[1][0], mixed[1][0])
    assert torch.cosine_similarity(plain[1][0], mixed[1][0], dim=0) >= 0.999


def test_the_loss_falls_as_in_float32():
    plain, mixed = (
        losses_and_gradients("weak_mtl", "2apae", amp=amp, steps=40)[0] for amp in (False, True)
    )
    assert plain[-1] < 0.95 * plain[0]
    assert mixed == pytest.approx(plain, rel=0.002)


EPYC = {"cpu_name": "AMD EPYC", "avx512_bf16": True, "amx_bf16": False}
OLD_EPYC = EPYC | {"avx512_bf16": False}
XEON = {"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}
HIDDEN_AMX = XEON | {"amx_bf16": False}


@pytest.mark.parametrize(
    ("amp", "able", "told"),
    [
        (False, EPYC, "float32"),
        (True, EPYC, "float32"),
        ("cpu", EPYC, "bf16"),
        ("cpu", OLD_EPYC, "float32"),
        ("cpu", XEON, "bf16"),
        ("cpu", HIDDEN_AMX, "float32"),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_that_is_faster_and_asked_for(
    monkeypatch, capsys, amp, able, told
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert devices.has_bfloat16() == able["avx512_bf16"]
    assert precision(Project(amp=amp), gpus=0) == told
    said = "amp: cpu: this processor is not faster in bfloat16, so float32 it is\n"
    assert capsys.readouterr().out == (said if (amp, told) == ("cpu", "float32") else "")
