"""CutMix: one mask for inputs, targets and origins."""

import torch

from sedrepro.objectives import cutmix

CPU = torch.device("cpu")


def test_intervals_have_the_papers_lengths_and_stay_inside():
    torch.manual_seed(0)
    cut = cutmix.draw(4000, 156, (0.2, 0.5), CPU)
    lengths = cut.mask.sum(1)
    assert lengths.min() == 31
    assert lengths.max() == 77
    first = cut.mask.int().argmax(1)
    last = 155 - cut.mask.flip(1).int().argmax(1)
    assert torch.equal(last - first + 1, lengths)
    assert first.min() == 0
    # The start's upper end is excluded, so the last frame is never replaced.
    assert not cut.mask[:, -1].any()
    assert cut.mask[:, -2].any()
    assert sorted(cut.order.tolist()) == list(range(4000))


def test_a_whole_clip_can_be_cut():
    cut = cutmix.draw(3, 8, (1.0, 1.0), CPU)
    assert cut.mask.all()


def test_inputs_targets_and_origins_are_cut_alike():
    torch.manual_seed(1)
    clips, frames, pooling, mels = 6, 10, 4, 3
    cut = cutmix.draw(clips, frames, (0.2, 0.5), CPU)
    index = torch.arange(clips, dtype=torch.float32)
    inputs = index.view(-1, 1, 1).expand(clips, mels, frames * pooling + 2)
    targets = index.view(-1, 1, 1).expand(clips, frames, 5)
    origins = index.view(-1, 1).expand(clips, frames)
    pasted = cut.inputs(inputs, pooling)
    pasted_targets, origin = cut.frames(targets), cut.frames(origins)
    assert cut.mask.any(1).all()
    for clip in range(clips):
        for frame in range(frames):
            source = cut.order[clip] if cut.mask[clip, frame] else torch.tensor(clip)
            assert origin[clip, frame] == source
            assert (pasted_targets[clip, frame] == source).all()
            assert (pasted[clip, :, frame * pooling : (frame + 1) * pooling] == source).all()
        assert (pasted[clip, :, frames * pooling :] == clip).all()


def test_the_same_time_position_is_pasted():
    torch.manual_seed(2)
    cut = cutmix.draw(4, 9, (0.3, 0.6), CPU)
    values = torch.randn(4, 9, 2)
    pasted = cut.frames(values)
    for clip in range(4):
        for frame in range(9):
            source = cut.order[clip] if cut.mask[clip, frame] else clip
            assert torch.equal(pasted[clip, frame], values[source, frame])


def test_an_interval_is_a_share_of_the_frames_from_a_start_before_its_room():
    torch.manual_seed(3)
    cut = cutmix.draw(50, 40, (0.25, 0.75), CPU)
    torch.manual_seed(3)  # the same draws: lengths, starts, partners
    shares, starts = torch.rand(50), torch.rand(50)
    for clip in range(50):
        length = int((0.25 + 0.5 * shares[clip]) * 40)
        first = int(starts[clip] * (40 - length))
        wanted = [first <= frame < first + length for frame in range(40)]
        assert cut.mask[clip].tolist() == wanted
    assert torch.equal(cut.order, torch.randperm(50))


def test_the_largest_draw_stays_inside(monkeypatch):
    """Of uniform draws the largest is 1 - 2^-24: its product with the room lies below the room."""
    monkeypatch.setattr(torch, "rand", lambda n, device: torch.full((n,), 1 - 2**-24))
    for frames in (1, 2, 65, 156, 4097):
        cut = cutmix.draw(1, frames, (0.0, 0.5), CPU)
        assert not cut.mask[0, -1]
