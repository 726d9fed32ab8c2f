"""Sound activity: labels, agreement, cross-task loss and correction, against explicit cases."""

import pytest
import torch
from torch.nn import functional as F

from sedrepro.objectives.activity import Activity, criteria, selected_agreement

DISHES = 3
COUNTED = [c for c in range(10) if c != DISHES]
THREE = Activity(COUNTED)
OCCURRENCE, OVERLAP = Activity(COUNTED, 0, 2), Activity(COUNTED, 1, 2)


def scores(**values: float) -> torch.Tensor:
    """One frame's scores: 0.1 but for the classes given as c0=…, c3=…."""
    frame = torch.full((10,), 0.1)
    for name, value in values.items():
        frame[int(name[1:])] = value
    return frame


@pytest.mark.parametrize(
    ("active", "three", "occurrence", "overlap"),
    [
        ([], 0, 0, 0),
        ([8], 1, 1, 0),
        ([DISHES], 0, 0, 0),
        ([8, DISHES], 1, 1, 0),
        ([0, 8], 2, 1, 1),
        ([0, 4, 8, 9], 2, 1, 1),
    ],
)
def test_labels_count_active_classes_without_dishes(active, three, occurrence, overlap):
    frame = torch.zeros(10)
    frame[active] = 1
    assert [a.state(frame) for a in (THREE, OCCURRENCE, OVERLAP)] == [three, occurrence, overlap]
    with_dishes = Activity(list(range(10)))
    assert with_dishes.state(frame) == min(2, len(active))


def test_tasks_agree_where_both_name_the_same_number():
    frames = torch.stack([scores(), scores(c8=0.6), scores(c8=0.6, c0=0.7), scores(c3=0.9)])
    for state in range(3):
        logits = F.one_hot(torch.tensor([state] * 4), 3).float() * 5
        expected = [float(count == state) for count in (0, 1, 2, 0)]
        assert THREE.agreement(frames, logits).tolist() == expected


def test_the_cross_task_loss_is_the_definitions():
    torch.manual_seed(0)
    frame, logits = torch.rand(2, 6, 10) * 0.4, torch.randn(2, 6, 3)
    total = 0.0
    for b in range(2):
        for t in range(6):
            amount = min(2.0, sum(float(frame[b, t, c]) for c in COUNTED))
            p = torch.softmax(logits[b, t], 0)
            total += (amount - float(p.max()) * int(p.argmax())) ** 2
    assert float(THREE.cross_task(frame, logits)) == pytest.approx(total / 12, rel=1e-5)


def test_cross_task_gradients_reach_scores_below_two_and_logits_by_the_winning_probability():
    frame = torch.stack([torch.full((10,), 0.1), torch.full((10,), 0.5)]).requires_grad_()
    logits = torch.tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 0.0]]).requires_grad_()
    loss = THREE.cross_task(frame, logits)
    assert torch.isfinite(loss)  # sums above 1 are no probabilities
    loss.backward()
    assert frame.grad[0, COUNTED].abs().min() > 0
    assert frame.grad[1].abs().max() == 0  # a sum of 4.5 is cut at 2
    assert frame.grad[:, DISHES].abs().max() == 0
    assert logits.grad[0].abs().max() > 0
    assert logits.grad[1].abs().max() == 0  # where silence wins, the target is 0


@pytest.mark.parametrize(
    ("frame", "state", "changed"),
    [
        (scores(c8=0.45), 1, {8: 0.65}),
        (scores(c8=0.25), 1, {8: 0.45}),  # raised, though not far enough to be found
        (scores(c8=0.4, c3=0.45), 1, {8: 0.6}),  # Dishes do not count
        (scores(c8=0.4, c3=0.9), 1, {8: 0.6}),
        (scores(c8=0.6), 1, {}),
        (scores(c8=0.9, c0=0.4), 2, {0: 0.6}),
        (scores(c8=0.9, c0=0.15), 2, {}),  # the second is no more than the boost
        (scores(c8=0.4, c0=0.4), 2, {}),  # none found: no change
        (scores(c8=0.9, c0=0.6), 2, {}),
        (scores(c8=0.45), 0, {}),
        (scores(c8=0.9, c0=0.8), 0, {}),  # more found than expected: no change
        (scores(c8=0.9, c0=0.8), 1, {}),
    ],
)
def test_a_missing_class_is_raised_and_nothing_else(frame, state, changed):
    logits = F.one_hot(torch.tensor([[state]]), 3).float() * 4
    expected = frame.clone()
    for index, value in changed.items():
        expected[index] = value
    found = THREE.corrected(frame[None, None], logits, 0.2)
    torch.testing.assert_close(found[0, 0], expected)


def test_two_states_correct_what_they_can_know():
    one = torch.tensor([[[0.0, 4.0]]])
    some = OCCURRENCE.corrected(scores(c8=0.45)[None, None], one, 0.2)
    assert some[0, 0, 8] == pytest.approx(0.65)
    lone = scores(c8=0.9, c0=0.4)[None, None]
    assert OVERLAP.corrected(lone, one, 0.2)[0, 0, 0] == pytest.approx(0.6)
    assert torch.equal(OCCURRENCE.corrected(lone, one, 0.2), lone)
    nothing = scores(c8=0.45)[None, None]
    assert torch.equal(OVERLAP.corrected(nothing, one, 0.2), nothing)
    assert torch.equal(OVERLAP.corrected(nothing, 1 - one, 0.2), nothing)


@pytest.mark.parametrize("criterion", ["mse", "bce"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_disagreeing_frames_count_less_over_the_whole_number_of_cells(criterion, weight):
    torch.manual_seed(0)
    student, teacher = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    agreed = (torch.rand(3, 4) < 0.5).float()
    total = 0.0
    for b in range(3):
        for t in range(4):
            for c in range(5):
                a, z = student[b, t, c], teacher[b, t, c]
                d = (a - z) ** 2 if criterion == "mse" else -(z * a.log() + (1 - z) * (1 - a).log())
                total += float(d) * (1.0 if agreed[b, t] else weight)
    found = selected_agreement(student, teacher, agreed, weight, criterion)
    assert float(found) == pytest.approx(total / 60, rel=1e-4)
    if weight == 1:
        assert float(found) == pytest.approx(float(criteria[criterion](student, teacher)), rel=1e-5)


def test_a_score_of_one_half_is_not_yet_found_and_a_boost_must_be_exceeded():
    halves = torch.zeros(10)
    halves[[0, 8]] = 0.5
    assert THREE.state(halves) == 0
    one, two = (F.one_hot(torch.tensor([[n]]), 3).float() for n in (1, 2))
    raised = THREE.corrected(scores(c8=0.5)[None, None], one, 0.25)
    assert raised[0, 0, 8] == 0.75
    pair = scores(c8=0.9, c0=0.25)[None, None]
    assert torch.equal(THREE.corrected(pair, two, 0.25), pair)
    assert THREE.corrected(pair, two, 0.125)[0, 0, 0] == 0.375


def test_no_score_is_raised_above_one():
    one = F.one_hot(torch.tensor([[1]]), 3).float()
    assert THREE.corrected(scores(c8=0.5)[None, None], one, 0.75)[0, 0, 8] == 1


def test_a_single_class_is_raised_and_has_no_second():
    lone = Activity([4])
    frame = torch.zeros(1, 3, 10)
    frame[0, :, 4] = torch.tensor([0.25, 0.75, 0.25])
    logits = F.one_hot(torch.tensor([[1, 1, 2]]), 3).float()
    assert lone.corrected(frame, logits, 0.5)[0, :, 4].tolist() == [0.75, 0.75, 0.25]
