"""The DCASE CRNN: the authors' outputs, the published sizes, what the options change."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sedrepro.networks.crnn import Cnn, Crnn, Gate, Heads

FILTERS = [16, 32, 64, 128, 128, 128, 128]
POOLING = [(2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)]


def full_size(**options) -> Crnn:
    return Crnn(10, filters=FILTERS, pooling=POOLING, **options)


def ours(name: str) -> str | None:
    """Our name of one of the authors' parameters; None for what their forward never uses."""
    for theirs, mine in [
        ("rnn.rnn.", "rnn."),
        ("dense_softmax.", "heads.attention."),
        ("dense.", "heads.frame."),
        ("cnn_proj_fc.", "projector.linear."),
    ]:
        if name.startswith(theirs):
            return mine + name.removeprefix(theirs)
    if name.startswith("cnn_proj_bn."):
        return None
    layer, *rest = name.removeprefix("cnn.cnn.").split(".")
    kind = layer.rstrip("0123456789")
    part = {"conv": "conv", "batchnorm": "norm", "glu": "gate"}[kind]
    return ".".join(["cnn.blocks", layer.removeprefix(kind), part, *rest])


def test_the_authors_network_gives_the_same_output(acceptance):
    with np.load(acceptance / "networks" / "lgc_crnn.npz") as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file}
    state = {
        ours(name.removeprefix("state/")): value
        for name, value in arrays.items()
        if name.startswith("state/")
    }
    del state[None]
    state |= {
        name: v[..., None, None] for name, v in state.items() if name.endswith("gate.linear.weight")
    }
    network = full_size(projection=128)
    expected = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    assert set(state) == expected
    network.load_state_dict(state, strict=False)
    with torch.no_grad():
        output = network.eval()(arrays["input"])
    assert (output.frame.transpose(1, 2) - arrays["output/strong"]).abs().max() < 1e-5
    assert (output.clip - arrays["output/weak"]).abs().max() < 1e-5


@pytest.mark.parametrize(("projection", "expected"), [(None, 1_112_420), (128, 1_145_316)])
def test_parameter_counts_are_the_published_ones(projection, expected):
    assert sum(p.numel() for p in full_size(projection=projection).parameters()) == expected


def test_one_full_size_step_reaches_every_parameter():
    torch.manual_seed(0)
    network = full_size(projection=128)
    output = network(torch.rand(2, 128, 626), project=True)
    assert output.frame.shape == output.attention.shape == (2, 156, 10)
    assert output.clip.shape == (2, 10)
    assert output.projected.shape == (2, 156, 128)
    (output.frame.mean() + output.clip.mean() + output.projected[..., 0].mean()).backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    used = [p for name, p in network.named_parameters() if not name.endswith("conv.bias")]
    assert all(parameter.grad.abs().sum() > 0 for parameter in used)


def test_projected_frames_are_unit_vectors_and_only_made_when_asked():
    network = Crnn(3, filters=[4], pooling=[(2, 8)], hidden=4, projection=6)
    x = torch.rand(2, 8, 12)
    assert network(x).projected is None
    norms = network(x, project=True).projected.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(2, 6))


def test_the_projector_does_not_change_the_start_of_the_rest():
    torch.manual_seed(3)
    plain = full_size()
    torch.manual_seed(3)
    with_projector = full_size(projection=128)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, with_projector.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["glu", "context"])
def test_gates_follow_their_formula(kind):
    gate = Gate(3, kind)
    x = torch.randn(2, 3, 4, 5)
    linear = torch.einsum(
        "bctf,dc->bdtf", x, gate.linear.weight[..., 0, 0]
    ) + gate.linear.bias.view(3, 1, 1)
    expected = linear * x.sigmoid() if kind == "glu" else x * linear.sigmoid()
    torch.testing.assert_close(gate(x), expected)


@pytest.mark.parametrize("kind", ["glu", "context"])
def test_an_identity_gate_starts_as_silu(kind):
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(Gate(3, kind, identity=True)(x), F.silu(x))


def test_the_attention_is_a_softmax_over_classes():
    heads = Heads(4, 3)
    hidden = torch.randn(2, 5, 4)
    frame, clip, attention = heads(hidden)
    for b in range(2):
        for c in range(3):
            weights = [torch.softmax(heads.attention(hidden[b, t]), 0)[c] for t in range(5)]
            mean = sum(w * frame[b, t, c] for t, w in enumerate(weights)) / sum(weights)
            torch.testing.assert_close(clip[b, c], mean)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 5))


def test_the_bias_sets_the_first_probabilities():
    heads = Heads(4, 3, bias=-2.0)
    torch.testing.assert_close(heads(torch.zeros(1, 1, 4))[0], torch.full((1, 1, 3), 0.1192029))


def test_running_statistics_are_almost_the_latest_batch():
    cnn = Cnn([2], [(1, 4)], momentum=0.99)
    x = torch.randn(3, 4, 6)
    cnn(x)
    convolved = cnn.blocks[0].conv(x.transpose(1, 2).unsqueeze(1))
    torch.testing.assert_close(
        cnn.blocks[0].norm.running_mean, 0.99 * convolved.mean((0, 2, 3)), atol=1e-6, rtol=1e-4
    )
