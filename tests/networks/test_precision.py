"""What is ranked or compared stays in float32 under mixed precision, so that nothing ties."""

import pytest
import torch
from torch.nn import functional as F

from sedrepro.networks.crnn import Crnn
from sedrepro.networks.cross_task import CrossTask
from sedrepro.papers.dmsf_avel.localiser import Sizes
from sedrepro.papers.dmsf_avel.method import KINDS
from sedrepro.papers.dmsf_avel.settings import Settings

CRNN = {"filters": [8, 16], "pooling": [(2, 8), (2, 8)], "hidden": 16, "layers": 1}
CROSS_TASK = {
    "filters": [8, 8, 16, 16, 16],
    "pooling": [(2, 4), (1, 4), (1, 2), (1, 2), (1, 1), (1, 1)],
    "bands": 2,
    "hidden": 16,
    "layers": 1,
}


def mixed(network, *inputs, heads, **options):
    """The output under mixed precision, and what entered each of the layers named."""
    entered = {}
    for name in heads:
        network.get_submodule(name).register_forward_pre_hook(
            lambda _module, values, name=name: entered.__setitem__(name, values[0])
        )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = network.eval()(*inputs, **options)
    return output, entered


def in_float32(layer, hidden):
    return F.linear(hidden.float(), layer.weight, layer.bias)


def test_scores_and_projections_of_the_crnn_are_made_in_float32():
    torch.manual_seed(0)
    network = Crnn(10, projection=8, **CRNN)
    heads = ("heads.frame", "heads.attention", "projector.linear")
    found, entered = mixed(network, torch.rand(4, 64, 624), heads=heads, project=True)
    assert {value.dtype for value in entered.values()} == {torch.bfloat16}  # autocast was on
    assert {value.dtype for value in found if value is not None} == {torch.float32}
    hidden = entered["heads.frame"]
    frame = in_float32(network.heads.frame, hidden).sigmoid()
    attention = in_float32(network.heads.attention, hidden).softmax(-1)
    projected = in_float32(network.projector.linear, hidden)
    torch.testing.assert_close(found.frame, frame, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.attention, attention.clamp(1e-7, 1), rtol=0, atol=1e-6)
    expected = F.normalize(F.leaky_relu(projected, 0.2), dim=-1)
    torch.testing.assert_close(found.projected, expected, rtol=0, atol=1e-6)
    for scores in found.frame.flatten(0, 1).T:
        assert len(scores.unique()) > 0.85 * len(hidden.flatten(0, 1).unique(dim=0))


def test_activity_of_the_cross_task_network_is_made_in_float32():
    torch.manual_seed(0)
    network = CrossTask(10, **CROSS_TASK)
    found, entered = mixed(network, torch.rand(2, 64, 80), heads=("activity.head",))
    assert entered["activity.head"].dtype == torch.bfloat16
    assert {value.dtype for value in found if value is not None} == {torch.float32}
    expected = in_float32(network.activity.head, entered["activity.head"])
    torch.testing.assert_close(found.activity, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("supervision", ["full", "weak"])
@pytest.mark.parametrize("kind", KINDS)
def test_audiovisual_scores_are_made_in_float32(kind, supervision):
    settings = Settings(network={"kind": kind, "width": 16, "heads": 2}, supervision=supervision)
    torch.manual_seed(0)
    network = KINDS[kind](Sizes(64, 32, 29), settings)
    # Not every CPU has bfloat16 LSTMs in its fast library.
    plain = torch.backends.mkldnn.flags(enabled=False)
    with plain, torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network.eval()(torch.rand(4, 10, 49, 64), torch.rand(4, 10, 32))
        scores = network.probabilities(found)
    assert scores.dtype == torch.float32
    logits = found["event" if kind == "cmran" else "logits"]
    assert logits.dtype == torch.float32
    assert (logits != logits.bfloat16().float()).float().mean() > 0.9
