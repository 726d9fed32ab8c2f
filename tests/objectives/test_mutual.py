"""Mutual learning and PSP's similarity against their formulas."""

from __future__ import annotations

import math

import torch

from sedrepro.objectives.mutual import mutual, pair_similarity


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def softmax(z, tau):
    e = [math.exp(v / tau) for v in z]
    return [v / sum(e) for v in e]


def test_it_is_the_symmetric_divergence_at_a_temperature():
    one, other = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    total = 0.0
    for i in range(2):
        for t in range(3):
            p, q = softmax(one[i, t].tolist(), 2), softmax(other[i, t].tolist(), 2)
            total += kl(p, q) + kl(q, p)
    expected = 2**2 / 2 * total / 6
    assert math.isclose(mutual(one, other, 2.0).item(), expected, rel_tol=1e-4)


def test_branches_that_agree_have_nothing_to_learn():
    z = torch.randn(2, 5, 7)
    assert mutual(z, z.clone(), 2.0).abs() < 1e-7
    assert mutual(z, z + 3, 2.0).abs() < 1e-6  # a constant changes no probability


def test_each_branch_learns_from_the_other_as_it_stands():
    """No gradient passes through a target: that of one branch is as if the other were fixed."""
    one, other = (torch.randn(1, 2, 4, requires_grad=True) for _ in range(2))
    mutual(one, other, 1.0).backward()
    p, q = torch.softmax(one, -1), torch.softmax(other, -1)
    # d/dz KL(target ‖ softmax z) = softmax z - target, halved and averaged over two segments.
    torch.testing.assert_close(one.grad, (p - q).detach() / 4)
    torch.testing.assert_close(other.grad, (q - p).detach() / 4)


def test_similarity_is_held_against_the_share_of_the_event():
    cosine = torch.tensor([[0.5, -0.2, 0.3, 0.2], [0.1, 0.1, 0.1, 0.1], [-1.0, -1, -1, -1]])
    events = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]])
    rows = [
        [(0.5 - 0.5) ** 2, 0.0, (0.3 - 0.5) ** 2, 0.2**2],
        [0.0] * 4,  # without an event every second has the same share
        [0.25, 0.25, 0, 0],
    ]
    expected = sum(map(sum, rows)) / 12
    assert math.isclose(pair_similarity(cosine, events).item(), expected, rel_tol=1e-5)


def test_the_divergence_runs_over_the_last_axis_whatever_comes_before():
    one, other = torch.randn(5, 4), torch.randn(5, 4)
    whole = mutual(one, other, 3.0).item()
    assert math.isclose(mutual(one[None, None], other[None, None], 3.0).item(), whole, rel_tol=1e-5)
    single = sum(mutual(a, b, 3.0).item() for a, b in zip(one, other, strict=True)) / 5
    assert math.isclose(single, whole, rel_tol=1e-5)
