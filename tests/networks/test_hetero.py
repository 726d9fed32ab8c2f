"""The late-merge CRNN: its size, pooling of tokens, dropped steps, masks, and fusion stages."""

import pytest
import torch
from test_beats import shuffled
from torch.nn import functional as F

from sedrepro.networks.beats import CachedLayers, PartialForward
from sedrepro.networks.fusion import Fusion
from sedrepro.networks.hetero import Hetero, drop_steps, pooled

BASELINE = {
    "filters": [16, 32, 64, 128, 128, 128, 128],
    "pooling": [(2, 2), (2, 2), *[(1, 2)] * 5],
    "frames": 156,
}
SMALL = {"filters": [4, 6], "pooling": [(2, 4), (1, 4)], "frames": 10, "hidden": 5}


def test_size_is_the_baselines():
    network = Hetero(27, 768, **BASELINE)
    parts = {
        name: sum(p.numel() for p in getattr(network, name).parameters())
        for name in ("cnn", "merge", "rnn", "heads")
    }
    assert parts == {"cnn": 612_688, "merge": 114_816, "rnn": 1_036_800, "heads": 20_790}
    assert sum(p.numel() for p in network.parameters()) == 1_785_094
    assert sum(p.numel() for p in Hetero(27, 768, **BASELINE, layers=1).parameters()) == 1_119_238


def test_flat_pooling_sees_four_or_five_tokens():
    tokens = torch.eye(496)[None]
    windows = [row.nonzero().flatten().tolist() for row in pooled(tokens, 156)[0]]
    assert windows[:4] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [9, 10, 11, 12]]
    lengths = [len(window) for window in windows]
    assert (lengths.count(4), lengths.count(5)) == (132, 24)


def test_pooling_of_mixtures_is_the_mixture_of_pooled_tokens():
    # So tokens can be stored pooled: mixup of the stored ones is the baseline's.
    a, b = torch.randn(2, 1, 496, 8)
    torch.testing.assert_close(
        pooled(0.3 * a + 0.7 * b, 156), 0.3 * pooled(a, 156) + 0.7 * pooled(b, 156)
    )


def test_band_pooling_averages_over_bands():
    tokens = torch.arange(6.0)[:, None, None].expand(6, 8, 3).reshape(1, 48, 3)
    torch.testing.assert_close(
        pooled(tokens, 6, "bands"), torch.arange(6.0)[None, :, None].expand(1, 6, 3)
    )


def test_dropped_steps_are_one_stretch_of_the_batch_or_of_each_clip():
    torch.manual_seed(0)
    lengths, different = set(), 0
    for _ in range(300):
        whole = drop_steps(torch.ones(5, 40, 2), longest=8, share=0.5, each=False)
        assert torch.equal(whole, whole[:1].expand_as(whole))
        silent = (whole[0, :, 0] == 0).nonzero().flatten()
        lengths.add(len(silent))
        assert len(silent) == 0 or silent[-1] - silent[0] + 1 == len(silent)
        each = drop_steps(torch.ones(5, 40, 2), longest=8, share=0.5, each=True)
        different += not torch.equal(each, each[:1].expand_as(each))
    assert lengths == set(range(8))
    assert different > 200
    short = [drop_steps(torch.ones(1, 10, 1), longest=16, share=0.3, each=True) for _ in range(99)]
    assert max(int((x == 0).sum()) for x in short) == 2  # at most 30 % of 10 frames, never 3


def test_masks_are_the_baselines():
    torch.manual_seed(0)
    network = Hetero(5, 8, **SMALL).eval()
    mel, tokens = torch.randn(2, 16, 20), torch.randn(2, 10, 8)
    valid = torch.tensor([[True, True, False, False, True], [False, True, True, True, False]])
    free, masked = network(mel, tokens), network(mel, tokens, valid)
    torch.testing.assert_close(masked.frame, free.frame * valid[:, None])
    *_, x = network.maps(mel, tokens)
    hidden = network.rnn(network.merge(x.squeeze(3).mT, tokens))[0]
    logits = network.heads.attention(hidden)
    for clip in range(2):
        own = valid[clip]
        attention = torch.softmax(logits[clip][:, own], -1)
        score = (free.frame[clip][:, own] * attention).sum(0) / attention.sum(0)
        torch.testing.assert_close(masked.clip[clip][own], score)
        assert (masked.clip[clip][~own] == 0).all()


@pytest.mark.parametrize("operation", ["add", "gated_add", "concat1x1"])
def test_a_fusion_stage_is_its_formula(operation):
    torch.manual_seed(0)
    fusion = Fusion(6, 3, operation=operation, bands=2).eval()
    x, tokens = torch.randn(1, 3, 7, 4), torch.randn(1, 10, 6)
    there = tokens.view(1, 5, 2, 6).permute(0, 3, 1, 2)
    seen = F.interpolate(
        fusion.norm(F.conv2d(there, fusion.project.weight, fusion.project.bias)),
        size=(7, 4),
        mode="bilinear",
        align_corners=False,
    )
    if operation == "add":
        wanted = x + seen
    else:
        joined = F.conv2d(torch.cat([x, seen], 1), fusion.join.weight, fusion.join.bias)
        wanted = joined if operation == "concat1x1" else x + torch.sigmoid(joined) * seen
    fused, same = fusion(x, tokens)
    torch.testing.assert_close(fused, wanted)
    assert same is tokens


def test_tokens_join_where_they_should_and_maps_go_back():
    torch.manual_seed(0)
    beats = shuffled().float()
    mel, fbank = torch.randn(1, 16, 20), torch.randn(1, 80, 32)
    options = {**SMALL, "depth": 2, "bands": 2, "stages": {0: 1, 1: 2}}
    fusions = [Fusion(8, 4, bands=2), Fusion(8, 6, bands=2)]
    network = Hetero(3, 8, **options, fusions=fusions).eval()
    walk = PartialForward(beats, fbank)
    recorded = CachedLayers({block: walk.to(block) for block in (1, 2)})
    found = network(mel, PartialForward(beats, fbank))
    torch.testing.assert_close(network(mel, recorded).frame, found.frame)
    other = CachedLayers({1: recorded.to(1), 2: recorded.to(2) + 1})
    first, second = ([m.clone() for m in network.maps(mel, s)] for s in (recorded, other))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])
    # A way back that has learned nothing changes nothing; one that has, does.
    both = Hetero(
        3, 8, **options, fusions=[Fusion(8, c, bands=2, back=True) for c in (4, 6)]
    ).eval()
    both.load_state_dict(network.state_dict(), strict=False)
    torch.testing.assert_close(both(mel, PartialForward(beats, fbank)).frame, found.frame)
    torch.nn.init.normal_(both.fusions[0].back.weight)
    assert not torch.allclose(both(mel, PartialForward(beats, fbank)).frame, found.frame)
