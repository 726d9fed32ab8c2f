"""Shifts keep input and network frames together."""

import torch

from sedrepro.objectives.shift import Shift, draw


def test_input_and_frames_move_by_the_same_time():
    values, labels = torch.randn(3, 2, 22), torch.randn(3, 5, 6)
    moved = Shift(torch.tensor([2, -1, 7]))
    inputs, frames = moved.inputs(values, 4, 5), moved.frames(labels)
    for clip, by in enumerate((2, -1, 7)):
        for t in range(5):
            torch.testing.assert_close(frames[clip, (t + by) % 5], labels[clip, t])
            for k in range(4):
                to = 4 * ((t + by) % 5) + k
                torch.testing.assert_close(inputs[clip, :, to], values[clip, :, 4 * t + k])
    assert torch.equal(inputs[..., 20:], values[..., 20:])


def test_shifts_have_the_deviation_asked_for():
    torch.manual_seed(0)
    drawn = draw(4000, 22.5, torch.device("cpu")).frames_later
    assert drawn.dtype == torch.long
    assert abs(drawn.float().std() - 22.5) < 1
    assert abs(drawn.float().mean()) < 1.5
