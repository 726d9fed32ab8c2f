"""The tagging networks against the authors' network, the printed counts and explicit references."""

import math

import numpy as np
import pytest
import torch

from sedrepro.networks.tagging import (
    Atrous,
    Tagging,
    TwoStep,
    TwoStepAttention,
    Vgg,
    blocks,
    gwrp_weights,
)

FULL = (311, 64)
CHANNELS = (32, 64, 128, 256)
BASELINE = (32, 64, 128, 128)


def full(pooling: str) -> torch.nn.Module:
    if pooling == "two_step":
        return TwoStep(41, CHANNELS, FULL)
    if pooling == "atrous_ap":
        return Atrous(41, (64, 128, 256))
    return Vgg(41, BASELINE, pooling, FULL, 0.9998)


@pytest.mark.parametrize(
    ("pooling", "parameters"),
    [
        ("gmp", 587_593),
        ("gap", 587_593),
        ("gwrp", 587_593),
        ("atrous_ap", 1_047_570),
        ("two_step", 1_967_366),
    ],
)
def test_parameters(pooling, parameters):
    assert sum(p.numel() for p in full(pooling).parameters()) == parameters


def test_parts_of_the_network_have_the_parameters_of_the_specification():
    network = full("two_step")
    count = {name: sum(p.numel() for p in m.parameters()) for name, m in network.named_children()}
    assert count["encoder"] + count["classes"] == 1_183_177
    assert count["attention"] == 202_384
    assert count["decoder"] == 581_805


def renamed(name: str) -> str:
    """The authors' parameter names as ours."""
    attention = {
        "fc_mel_prob": "band_probability",
        "fc_mel_att": "band_attention",
        "fc_time_prob": "frame_probability",
        "fc_time_att": "frame_attention",
    }
    part, layer, rest = name.split(".", 2)
    if part == "dsa":
        return f"attention.{attention[layer]}.{rest}"
    if layer == "class_conv":
        return f"classes.{rest}"
    place = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4}
    kind, value = rest.split(".")
    return (
        f"{ {'enc': 'encoder', 'dec': 'decoder'}[part] }.{int(layer[2:]) - 1}.{place[kind]}.{value}"
    )


def test_agrees_with_the_authors_network(acceptance):
    known = np.load(acceptance / "networks" / "weak_mtl_2apae.npz")
    network = full("two_step").eval()
    state = {
        renamed(name.removeprefix("state/")): torch.from_numpy(known[name])
        for name in known
        if name.startswith("state/")
    }
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    with torch.no_grad():
        found = network(torch.from_numpy(known["input"]), reconstruct=True)
    for name, values in {
        "y_pred": found.clip,
        "x_rec": found.reconstruction,
        "mel_x": found.frame.mT,
        "time_attw": found.time,
    }.items():
        error = np.abs(values.numpy() - known[f"output/{name}"])
        # Its weights are large: in another order of summing, as processors differ in it, float32
        # alone moves a value in 1,500 by up to 3e-5, and all of them by 3e-6 in the mean. The
        # stored values themselves lie 1.8e-5 from those of double precision.
        assert np.sqrt(np.mean(error**2)) < 5e-6, name
        assert np.mean(error > 2e-5) < 0.005, name
        assert error.max() < 5e-5, name


def test_two_step_attention_is_its_definition_in_loops():
    torch.manual_seed(0)
    attention = TwoStepAttention(5, 4)
    maps = torch.randn(2, 3, 5, 4)
    found = attention(maps)
    layers = {
        name: (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for name, layer in attention.named_children()
    }

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    def softmax(values):
        whole = sum(math.exp(v) for v in values)
        return [math.exp(v) / whole for v in values]

    def linear(name, values):
        weight, bias = layers[name]
        return [
            sum(weight[i][j] * values[j] for j in range(len(values))) + bias[i]
            for i in range(len(bias))
        ]

    for clip in range(2):
        for k in range(3):
            frames = []
            for t in range(5):
                column = maps[clip, k, t].double().tolist()
                weights = softmax(linear("band_attention", column))
                chances = [sigmoid(v) for v in linear("band_probability", column)]
                frames.append(sum(w * p for w, p in zip(weights, chances, strict=True)))
                np.testing.assert_allclose(found.frequency[clip, k, t].tolist(), weights, atol=1e-6)
            weights = softmax(linear("frame_attention", frames))
            chances = [sigmoid(v) for v in linear("frame_probability", frames)]
            y = sum(w * p for w, p in zip(weights, chances, strict=True))
            np.testing.assert_allclose(found.frame[clip, :, k].tolist(), frames, atol=1e-6)
            np.testing.assert_allclose(found.time[clip, k].tolist(), weights, atol=1e-6)
            assert found.clip[clip, k].item() == pytest.approx(y, abs=1e-6)


def test_gwrp_weights():
    weights = gwrp_weights(311 * 64, 0.9998).double()
    whole = (1 - 0.9998**19904) / (1 - 0.9998)
    assert weights.sum().item() == pytest.approx(1, abs=1e-5)
    assert weights[0].item() == pytest.approx(1 / whole, rel=1e-6)
    assert weights[100].item() == pytest.approx(0.9998**100 / whole, rel=1e-5)
    # Between the mean and the maximum, which are its ends.
    torch.testing.assert_close(gwrp_weights(4, 1.0), torch.full((4,), 0.25))
    torch.testing.assert_close(gwrp_weights(4, 0.0), torch.tensor([1.0, 0, 0, 0]))


@pytest.mark.parametrize("pooling", ["gmp", "gap", "gwrp"])
def test_global_pooling_of_a_class_map(pooling):
    torch.manual_seed(1)
    network = Vgg(2, (3, 4, 5, 5), pooling, (6, 5), 0.9).eval()
    x = torch.randn(2, 6, 5)
    with torch.no_grad():
        maps = network.classes(network.encoder(x.unsqueeze(1))).sigmoid()
        found = network(x)
    for clip in range(2):
        for k in range(2):
            ranked = sorted(maps[clip, k].flatten().tolist(), reverse=True)
            weights = {
                "gmp": [1.0] + [0.0] * 29,
                "gap": [1.0] * 30,
                "gwrp": [0.9**place for place in range(30)],
            }[pooling]
            wanted = sum(w * v for w, v in zip(weights, ranked, strict=True)) / sum(weights)
            assert found.clip[clip, k].item() == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(found.frame, maps.mean(-1).mT)


def test_atrous_attention_starts_even_and_is_capped_at_one_half():
    torch.manual_seed(2)
    network = Atrous(4, (3, 4, 5)).eval()
    assert not network.attention.weight.any()
    x = torch.randn(3, 7, 6)
    with torch.no_grad():
        logarithms = network.classes(network.encoder(x.unsqueeze(1))).log_softmax(1)
        found = network(x)
        # Equal weights at the start: the sigmoid of the mean log-probability.
        torch.testing.assert_close(found.clip, logarithms.mean((2, 3)).sigmoid())
        assert (found.clip < 0.5).all()
        network.attention.weight.normal_(std=30)
        attention = network.attention(network.encoder(x.unsqueeze(1))).sigmoid().clamp(0.1, 0.9)
        assert {0.1, 0.9} <= {round(v, 4) for v in attention.flatten().tolist()}
        weights = attention / attention.sum((2, 3), keepdim=True)
        wanted = (weights * logarithms).sum((2, 3)).sigmoid()
        torch.testing.assert_close(network(x).clip, wanted)


def test_blocks_smooth_over_zeros_beyond_the_border():
    smooth, plain = blocks([1, 2], smooth=True), blocks([1, 2], smooth=False)
    plain.load_state_dict(smooth.state_dict())
    x = torch.randn(1, 1, 4, 4)
    with torch.no_grad():
        sharp, found = plain.eval()(x), smooth.eval()(x)
    torch.testing.assert_close(found[0, :, 0, 0], sharp[0, :, :2, :2].sum((1, 2)) / 9)


def test_convolutions_start_he_uniform():
    network = full("two_step")
    weight = network.encoder[1][0].weight
    bound = math.sqrt(6 / (32 * 9))
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert not network.classes.bias.any()


@pytest.mark.parametrize("pooling", ["gwrp", "atrous_ap", "two_step"])
def test_full_size_steps_once(pooling):
    torch.manual_seed(3)
    network = full(pooling).train()
    x = torch.randn(1, *FULL)
    found: Tagging = network(x, reconstruct=True) if pooling == "two_step" else network(x)
    loss = found.clip.mean()
    if pooling == "two_step":
        assert found.reconstruction.shape == x.shape
        assert (found.reconstruction >= 0).all()
        loss = loss + (found.reconstruction - x).square().mean()
    loss.backward()
    assert found.clip.shape == (1, 41)
    assert found.frame.shape == (1, 311, 41)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
