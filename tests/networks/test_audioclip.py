"""AudioCLIP's towers: sizes at full scale, and each unusual part against its formula."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch.nn import functional as F

from sedrepro.networks.audioclip import (
    Attention,
    AttentionPool,
    AudioTower,
    ImageTower,
    Spectrogram,
    normalised,
)


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_full_towers_have_the_released_size_and_names():
    image, audio = ImageTower(), AudioTower()
    assert size(image) == 38_316_896
    assert size(audio) == 32_104_771
    state = audio.state_dict()
    shapes = {
        "window": [1654],
        "fbsp.m": [1025],
        "fbsp.bias": [0],
        "conv1.weight": [64, 3, 7, 7],
        "layer4.2.conv2.weight": [1024, 32, 3, 3],
        "layer3.0.downsample.0.weight": [1024, 512, 1, 1],
        "att2.conv_depth.weight": [256, 1, 1, 5],
        "att5.conv_point.weight": [2048, 2048, 1, 1],
        "fc.weight": [1024, 2048],
    }
    assert {name: list(state[name].shape) for name in shapes} == shapes
    state = image.state_dict()
    shapes = {
        "conv1.weight": [32, 3, 3, 3],
        "layer1.0.downsample.0.weight": [256, 64, 1, 1],
        "layer4.2.conv3.weight": [2048, 512, 1, 1],
        "attnpool.positional_embedding": [50, 2048],
        "attnpool.c_proj.weight": [1024, 2048],
    }
    assert {name: list(state[name].shape) for name in shapes} == shapes


def slow_bin(frame, k, m, fb, fc):
    """|sum_n frame_n K_kn|² of one bin, in complex numbers."""
    total = 0j
    for n, value in enumerate(frame.tolist()):
        t = math.pi * (-1 + 2 * n / 2047) + 1e-8
        u = fb[k] * t / (m[k] + 1e-8)
        s = math.sin(u) / u if u else 1.0
        power = cmath.exp(1j * m[k] * cmath.phase(complex(s))) * abs(s) ** m[k]
        total += value * math.sqrt(fb[k]) * power * cmath.exp(-1j * fc[k] * t) / math.sqrt(2048)
    return abs(total) ** 2


def test_the_spectrogram_is_a_sum_over_complex_kernels():
    torch.manual_seed(0)
    front = Spectrogram().double()
    with torch.no_grad():
        front.m[400] = 1.7
        front.fb[400] = 0.6
        front.m[77] = 0.4
    window = torch.hann_window(1654, dtype=torch.float64)
    x = torch.randn(1, 3000, dtype=torch.float64) * 3000
    with torch.no_grad():
        found = front(x, window)
    assert found.shape == (1, 3, 341, 4)  # 1 + ceil((3000 - 1654) / 561)
    scaled = (x[0] + 32768) * 2 / 65535 - 1
    padded = F.pad(scaled, ((3 * 561 + 1654 - 3000) // 2,) * 2)
    padded = F.pad(padded, (0, 1))
    m, fb, fc = (p.detach().tolist() for p in (front.m, front.fb, front.fc))
    for frame, k in [(0, 0), (1, 77), (2, 400), (3, 1000)]:
        piece = F.pad(padded[frame * 561 : frame * 561 + 1654] * window, (197, 197))
        expected = 10 * math.log10(slow_bin(piece, k, m, fb, fc))
        assert found[0, k // 341, k % 341, frame].item() == pytest.approx(expected, abs=1e-4)


def test_one_second_has_77_frames():
    with torch.no_grad():
        assert Spectrogram()(torch.zeros(1, 44100), torch.ones(1654)).shape == (1, 3, 341, 77)


def test_silence_has_a_floor():
    """A recording at exactly half a step below zero has no power in any bin."""
    with torch.no_grad():
        found = Spectrogram()(torch.full((1, 2000), -0.5), torch.ones(1654))
    assert found.min() >= -180.1
    assert torch.isfinite(found).all()


def test_attention_pools_like_one_query_over_all_places():
    torch.manual_seed(0)
    pool = AttentionPool(128, 9, 20)
    torch.nn.init.normal_(pool.positional_embedding)
    x = torch.randn(2, 128, 3, 3)
    tokens = torch.cat([x.flatten(2).mean(-1, keepdim=True), x.flatten(2)], -1).permute(2, 0, 1)
    tokens = tokens + pool.positional_embedding[:, None]
    expected, _ = F.multi_head_attention_forward(
        tokens[:1],
        tokens,
        tokens,
        128,
        2,
        None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        None,
        None,
        False,
        0.0,
        pool.c_proj.weight,
        pool.c_proj.bias,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        need_weights=False,
    )
    torch.testing.assert_close(pool(x), expected[0], rtol=1e-4, atol=1e-5)


def test_places_are_what_attention_to_them_alone_would_give():
    pool = AttentionPool(64, 4, 5)
    torch.nn.init.normal_(pool.positional_embedding)
    x = torch.randn(1, 64, 2, 2)
    found = pool.places(x)
    for i in range(4):
        value = pool.v_proj.weight @ (x[0].flatten(1)[:, i] + pool.positional_embedding[i + 1])
        expected = pool.c_proj.weight @ (value + pool.v_proj.bias) + pool.c_proj.bias
        torch.testing.assert_close(found[0, i], expected, rtol=1e-4, atol=1e-5)


def test_attention_of_a_stage_is_a_share_of_its_output():
    attention = Attention(6, 10, (1, 5)).eval()
    found = attention(torch.randn(2, 6, 12, 9), (4, 3))
    assert found.shape == (2, 10, 4, 3)
    assert ((found > 0) & (found < 1)).all()


def test_pictures_are_normalised_as_clip_was_trained():
    white = normalised(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))
    expected = [
        (1 - 0.48145466) / 0.26862954,
        (1 - 0.4578275) / 0.26130258,
        (1 - 0.40821073) / 0.27577711,
    ]
    torch.testing.assert_close(white[0, :, 0, 0], torch.tensor(expected))
