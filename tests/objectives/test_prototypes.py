"""Prototypes against explicit loops."""

import math

import pytest
import torch
from torch.nn import functional as F

from sedrepro.objectives.prototypes import Prototypes, membership, with_background


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


@pytest.fixture
def prototypes() -> Prototypes:
    torch.manual_seed(0)
    made = Prototypes(3, 2, 5)
    made.vectors.copy_(unit(3, 2, 5))
    return made


def test_background_is_what_no_class_claims():
    p = torch.tensor([[0.2, 0.7], [0.05, 0.02]])
    torch.testing.assert_close(
        with_background(p), torch.tensor([[0.2, 0.7, 0.3], [0.05, 0.02, 0.95]])
    )
    by_clip = torch.rand(2, 4, 3)  # clip, frame, class
    assert with_background(by_clip).shape == (2, 4, 4)
    for clip, expected in zip(by_clip, with_background(by_clip), strict=True):
        assert torch.equal(with_background(clip), expected)


def test_a_frame_may_stand_for_several_classes_or_none():
    labels = torch.tensor([[0.95, 0.9, 0.0], [0.05, 0.0, 0.09], [0.5, 0.2, 0.0]])
    expected = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    assert torch.equal(membership(labels, 0.9, 0.1), expected)


def test_update_follows_the_definition(prototypes):
    features = unit(40, 5)
    members = torch.rand(40, 3) > 0.5
    members[:, 2] = False
    before = prototypes.vectors.clone()
    expected = before.clone()
    for c in range(3):
        assigned = {0: [], 1: []}
        for n in range(40):
            if members[n, c]:
                products = [float(features[n] @ before[c, m]) for m in range(2)]
                assigned[products.index(max(products))].append(features[n])
        for m, frames in assigned.items():
            if frames:
                mean = sum(frames) / len(frames)
                moved = 0.9 * before[c, m] + 0.1 * mean
                expected[c, m] = moved / moved.norm()
    prototypes.update(features, members, 0.9)
    torch.testing.assert_close(prototypes.vectors, expected)
    assert torch.equal(prototypes.vectors[2], before[2])
    assert not torch.allclose(prototypes.vectors[0], before[0])
    torch.testing.assert_close(prototypes.vectors.norm(dim=-1), torch.ones(3, 2))


def test_contrast_follows_the_definition(prototypes):
    plain = unit(12, 5)
    features = plain.clone().requires_grad_()
    positives = torch.rand(12, 3) > 0.5
    positives[:, 0] |= ~positives.any(1)
    anchors = torch.rand(12) > 0.4
    assert 0 < anchors.sum() < 12
    losses = []
    for n in range(12):
        if not anchors[n]:
            continue
        s = [
            max(float(plain[n] @ prototypes.vectors[c, m]) for m in range(2)) / 0.1
            for c in range(3)
        ]
        total = math.log(sum(math.exp(v) for v in s))
        chosen = [c for c in range(3) if positives[n, c]]
        losses.append(-sum(s[c] - total for c in chosen) / len(chosen))
    loss = prototypes.contrast(features, positives, anchors, 0.1)
    assert loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    loss.backward()
    touched = features.grad.abs().sum(1) > 0
    assert torch.equal(touched, anchors)


def test_without_anchors_the_loss_is_zero_and_gradients_are_finite(prototypes):
    features = unit(6, 5).requires_grad_()
    nothing = torch.zeros(6, dtype=torch.bool)
    loss = prototypes.contrast(features, torch.zeros(6, 3, dtype=torch.bool), nothing, 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros(6, 5))


def test_initialise_finds_the_centres_and_survives_a_checkpoint():
    torch.manual_seed(0)
    directions = torch.eye(5)[:4]
    features = F.normalize(directions.repeat_interleave(30, 0) + 0.01 * torch.randn(120, 5), dim=-1)
    members = torch.zeros(120, 2, dtype=torch.bool)
    members[:60, 0] = True
    members[60:, 1] = True
    prototypes = Prototypes(2, 2, 5)
    assert not prototypes.initialised
    prototypes.initialise(features, members, starts=10, seed=42)
    for c in range(2):
        found = prototypes.vectors[c] @ directions[2 * c : 2 * c + 2].T
        assert found.max(1).values.min() > 0.999
        assert set(found.argmax(1).tolist()) == {0, 1}
    restored = Prototypes(2, 2, 5)
    restored.load_state_dict(prototypes.state_dict())
    assert restored.initialised
    assert torch.equal(restored.vectors, prototypes.vectors)


def test_classes_short_of_frames_get_random_unit_vectors_and_a_warning(caplog):
    torch.manual_seed(0)
    features = unit(10, 5)
    members = torch.zeros(10, 2, dtype=torch.bool)
    members[0, 0] = True
    prototypes = Prototypes(2, 3, 5)
    prototypes.initialise(features, members, starts=1, seed=0)
    torch.testing.assert_close(prototypes.vectors[0, 0], features[0])
    torch.testing.assert_close(prototypes.vectors.norm(dim=-1), torch.ones(2, 3))
    assert [record.args[:3] for record in caplog.records] == [(0, 1, 3), (1, 0, 3)]


def test_a_frame_at_a_limit_stands_for_its_class_and_not_for_the_background():
    by_clip = torch.tensor([[[0.5, 0.125, 0.0], [0.125, 0.0, 0.0]], [[0.0] * 3, [0.5] * 3]])
    found = membership(by_clip, 0.5, 0.125)
    assert found.int().tolist() == [
        [[1, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 1], [1, 1, 1, 0]],
    ]


@pytest.mark.parametrize(("frames", "random"), [(2, 1), (3, 0)])
def test_only_prototypes_that_lack_a_frame_are_random(frames, random, caplog):
    torch.manual_seed(0)
    features = unit(frames, 5)
    prototypes = Prototypes(1, 3, 5)
    prototypes.initialise(features, torch.ones(frames, 1, dtype=torch.bool), starts=2, seed=0)
    assert [record.args[3] for record in caplog.records] == [random] * (random > 0)
    likeness = features @ prototypes.vectors[0].T
    torch.testing.assert_close(likeness.amax(1), torch.ones(frames))
    assert len(set(likeness.argmax(1).tolist())) == frames
    torch.testing.assert_close(prototypes.vectors.norm(dim=-1), torch.ones(1, 3))


def test_one_frame_moves_its_prototype_and_one_anchor_is_the_whole_mean(prototypes):
    before = prototypes.vectors.clone()
    frame = F.normalize(before[1, 0] + 0.1 * torch.randn(5), dim=0)
    member = torch.tensor([[False, True, False]])
    loss = prototypes.contrast(frame[None], member, torch.tensor([True]), 0.5)
    nearest = torch.stack([(before[c] @ frame).max() for c in range(3)])
    assert float(loss) == pytest.approx(-float((nearest / 0.5).log_softmax(0)[1]), rel=1e-5)
    prototypes.update(frame[None], member, 0.75)
    moved = 0.75 * before[1, 0] + 0.25 * frame
    torch.testing.assert_close(prototypes.vectors[1, 0], moved / moved.norm())
    torch.testing.assert_close(prototypes.vectors[[0, 2]], before[[0, 2]])
    torch.testing.assert_close(prototypes.vectors[1, 1], before[1, 1])


def test_likeness_is_that_to_the_nearest_prototype_in_any_shape(prototypes):
    features = unit(2, 4, 5)
    found = prototypes.similarity(features)
    for clip in range(2):
        for frame in range(4):
            for c in range(3):
                wanted = max(float(features[clip, frame] @ v) for v in prototypes.vectors[c])
                assert float(found[clip, frame, c]) == pytest.approx(wanted, abs=1e-6)
