"""The teacher is a target, not a pupil."""

import torch

from sedrepro.objectives.consistency import agreement


def test_agreement_is_the_mean_square_and_trains_the_student_only():
    student = torch.tensor([0.2, 0.9], requires_grad=True)
    teacher = torch.tensor([0.5, 0.5], requires_grad=True)
    loss = agreement(student, teacher)
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.tensor((0.3**2 + 0.4**2) / 2))
    torch.testing.assert_close(student.grad, torch.tensor([-0.3, 0.4]))
    assert teacher.grad is None
