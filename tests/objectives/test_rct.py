"""Random consistency: what copies are made of, and the loss against loops over cells."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from sedrepro.features.front_ends import Mel
from sedrepro.objectives import rct
from sedrepro.settings import FrontEnd

WAVE = FrontEnd(kind="waveform", sample_rate=16000, seconds=1.0, n_fft=1024, hop=160, n_mels=64)
MEL = Mel(WAVE)


@dataclass(frozen=True)
class Batch:
    inputs: dict[str, Tensor]
    frames: Tensor
    clips: Tensor
    parts: dict[str, slice]


def batch(sizes=(2, 3, 4), frames=25) -> Batch:
    clips, parts, start = sum(sizes), {}, 0
    for name, size in zip(("synth", "weak", "unlabelled"), sizes, strict=True):
        parts[name] = slice(start, start := start + size)
    wave = torch.randn(clips, WAVE.samples) * 0.1
    y = (torch.rand(clips, frames, 5) < 0.3).float()
    return Batch({"wave": wave}, y, y.amax(1), parts)


def test_a_mixed_copy_is_the_sum_of_one_or_two_more_clips():
    torch.manual_seed(0)
    partners = set()
    for _ in range(30):
        order = rct.draw_order(6, torch.device("cpu"))
        partners.add(len(order) - 1)
        assert order[0].tolist() == list(range(6))
        assert all(sorted(row.tolist()) == list(range(6)) for row in order)
        values = torch.randn(6, 4)
        mixed = rct.mix(values, order)
        for clip in range(6):
            torch.testing.assert_close(mixed[clip], sum(values[row[clip]] for row in order))
    assert partners == {1, 2}


def test_draws_are_uniform_and_pitch_goes_up_in_31_of_100():
    torch.manual_seed(0)
    methods = ["time_mask", "pitch_shift", "time_shift"]
    drawn = [rct.draw_augmentation(methods) for _ in range(6000)]
    for method in methods:
        assert abs(sum(d.method == method for d in drawn) / 6000 - 1 / 3) < 0.03
    for strength in range(1, 6):
        assert abs(sum(d.strength == strength for d in drawn) / 6000 - 0.2) < 0.03
    assert abs(sum(d.up for d in drawn) / 6000 - 0.3085) < 0.03


@pytest.mark.parametrize("chunks", [5, 25])
def test_a_time_mask_silences_whole_chunks_of_each_clip(chunks):
    torch.manual_seed(0)
    masked = rct.time_mask(torch.ones(8, 1000), chunks)
    for clip in masked:
        runs = "".join(str(int(v)) for v in clip).replace("1", " ").split()
        assert all(len(run) >= 10 for run in runs)
        assert 10 <= sum(map(len, runs)) <= 10 * chunks
        assert set(clip.tolist()) == {0.0, 1.0}
    assert len({tuple(clip.tolist()) for clip in masked}) == 8


@pytest.mark.parametrize("cents", [-250, -50, 50, 100, 250])
def test_a_tone_lands_where_its_shifted_pitch_is(cents):
    time = torch.arange(WAVE.samples, dtype=torch.float64) / WAVE.sample_rate
    tone = torch.sin(2 * torch.pi * 2000 * time).float()[None]

    def power(wave: Tensor) -> Tensor:
        window = torch.hann_window(1024)
        return torch.stft(wave, 1024, 160, window=window, return_complex=True).abs()[..., 10:90]

    shifted = rct.pitch_shifted(tone, cents, power, 80).square()
    frequency = torch.arange(513)[:, None] * WAVE.sample_rate / 1024
    centre = (shifted * frequency).sum(1) / shifted.sum(1)
    # 64 of 16,000 samples, to which the length is rounded, are 0.4 % of the pitch at most.
    assert (centre / (2000 * 2 ** (cents / 1200)) - 1).abs().max() < 0.003
    level = (shifted.sum(1) / power(tone).square().sum(1).mean()).sqrt()
    assert (level - 1).abs().max() < 0.02


def test_a_pitch_shift_keeps_time():
    """A click half-way stays half-way, however far the pitch goes."""
    wave = torch.zeros(1, WAVE.samples)
    wave[0, 12000] = 1
    for cents in (-250, 250):
        loud = rct.pitch_shifted(wave, cents, MEL, WAVE.frames)[0].sum(0)
        centre = (loud * torch.arange(len(loud))).sum() / loud.sum()
        assert abs(float(centre) - 75) < 0.5


def test_no_shift_is_no_change():
    wave = torch.randn(2, WAVE.samples)
    shifted = rct.pitch_shifted(wave, 0, MEL, WAVE.frames)
    torch.testing.assert_close(shifted, MEL(wave), rtol=1e-3, atol=1e-2)


def test_resampling_is_band_limited_and_keeps_levels():
    time = torch.arange(16000, dtype=torch.float64) / 16000
    slower = rct.resample(torch.sin(2 * torch.pi * 500 * time), 20000)
    longer = torch.arange(20000, dtype=torch.float64) / 20000
    expected = torch.sin(2 * torch.pi * 500 * longer)
    assert (slower - expected).abs().max() < 1e-3
    # 7.5 kHz played 1.25 times as fast lies above what 16 kHz can hold.
    assert rct.resample(torch.sin(2 * torch.pi * 7500 * time), 12800).abs().max() < 1e-3


@pytest.mark.parametrize("method", ["time_mask", "pitch_shift", "time_shift"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_part_is_followed_by_its_copies(method, seed):
    torch.manual_seed(seed)
    given = batch()
    seen, copies = rct.expand(given, "wave", [method], MEL)
    assert {n: p.stop - p.start for n, p in seen.parts.items()} == {
        "synth": 6,
        "weak": 9,
        "unlabelled": 12,
    }
    spectra = MEL(given.inputs["wave"])
    for name, part in given.parts.items():
        made, n = seen.parts[name], part.stop - part.start
        mel, y, v = (t[made] for t in (seen.inputs["wave"], seen.frames, seen.clips))
        torch.testing.assert_close(mel[:n], spectra[part])
        order, shift = copies[name]
        assert torch.equal(y[:n], given.frames[part])
        assert torch.equal(v[2 * n :], given.clips[part])
        for clip in range(n):
            sources = [given.frames[part][int(row[clip])] for row in order]
            assert torch.equal(y[n + clip], torch.stack(sources).amax(0))
            tags = [given.clips[part][int(row[clip])] for row in order]
            assert torch.equal(v[n + clip], torch.stack(tags).amax(0))
            wave = sum(given.inputs["wave"][part][int(row[clip])] for row in order)
            torch.testing.assert_close(mel[n + clip], MEL(wave[None])[0], rtol=1e-3, atol=1e-3)
        assert (shift > 0) == (method == "time_shift")
        for frame in range(25):
            rolled = given.frames[part][:, (frame - shift) % 25]
            assert torch.equal(y[2 * n :, frame], rolled)
        assert not torch.allclose(mel[2 * n :], mel[:n])


def test_frames_roll_by_whole_frames_rounded_down():
    """15, 31, 46, 62 and 78 of 156 frames, and the sound by exactly so many tenths of the clip."""
    shifts = {}
    torch.manual_seed(0)
    given = batch(sizes=(1, 1, 1), frames=156)
    for _ in range(40):
        seen, copies = rct.expand(given, "wave", ["time_shift"], MEL)
        for name, part in seen.parts.items():
            for strength in range(1, 6):
                moved = given.inputs["wave"][given.parts[name]].roll(1600 * strength, 1)
                if torch.allclose(seen.inputs["wave"][part][2:], MEL(moved)):
                    shifts[strength] = copies[name].shift
    assert shifts == {1: 15, 2: 31, 3: 46, 4: 62, 5: 78}


def test_a_part_without_clips_has_no_copies():
    seen, copies = rct.expand(batch(sizes=(2, 3, 0)), "wave", ["time_shift"], MEL)
    assert seen.parts["unlabelled"] == slice(15, 15)
    assert set(copies) == {"synth", "weak"}
    assert len(seen.frames) == 15


@pytest.mark.parametrize("shape", [(4,), (7, 4)])
@pytest.mark.parametrize("shift", [0, 3])
def test_self_consistency_is_the_definitions(shape, shift):
    torch.manual_seed(0)
    scores = torch.rand(15, *shape).mul(1.3).sub(0.15).clamp(0, 1)
    order = torch.stack([torch.arange(5), torch.randperm(5), torch.randperm(5)])
    clips, mixed, changed = scores[:5], scores[5:10], scores[10:]
    mix = augment = 0.0
    cells = torch.cartesian_prod(*(torch.arange(n) for n in (5, *shape))).tolist()
    for clip, *place in cells:
        sources = [float(clips[(int(row[clip]), *place)]) for row in order]
        high = any(s > 0.95 for s in sources)
        known = high or all(s < 0.05 for s in sources)
        mix += (known * float(mixed[(clip, *place)]) - high) ** 2
        origin = [(place[0] - shift) % 7, place[1]] if len(shape) == 2 else place
        augment += float(changed[(clip, *place)] - clips[(clip, *origin)]) ** 2
    found = rct.self_consistency(scores, rct.Copies(order, shift), 0.95, 0.05)
    assert float(found) == pytest.approx((mix + augment) / len(cells), rel=1e-5)
    assert mix > 0


def test_gradients_reach_both_sides_of_the_augmented_pair_and_one_of_the_mixed():
    scores = torch.full((6, 2), 0.99, requires_grad=True)
    copies = rct.Copies(torch.tensor([[0, 1], [1, 0]]), 0)
    with torch.no_grad():
        scores[2:4] = 0.3
        scores[4:] = 0.5
    rct.self_consistency(scores, copies, 0.95, 0.05).backward()
    original, mixed, changed = scores.grad.chunk(3)
    torch.testing.assert_close(original, -changed)  # by the augmented pair alone
    assert (changed != 0).all()
    assert (mixed < 0).all()


def test_the_parts_of_a_batch_contribute_one_loss_together():
    assert sum(rct.SHARES.values()) == pytest.approx(1)
    assert rct.SHARES["unlabelled"] == rct.SHARES["synth"] + rct.SHARES["weak"]


def test_masks_begin_anywhere_a_chunk_fits():
    torch.manual_seed(5)
    masked = rct.time_mask(torch.ones(6, 250), 10)
    torch.manual_seed(5)
    starts = torch.rand(6, 10)
    for clip in range(6):
        first = [int(start * (250 - 2 + 1)) for start in starts[clip]]
        silent = {place for start in first for place in (start, start + 1)}
        assert [v == 0 for v in masked[clip]] == [place in silent for place in range(250)]


@pytest.mark.parametrize("cents", [-250, 100])
def test_frames_of_a_shifted_clip_lie_where_it_was_when_played(cents):
    """A spectrum that holds its own places says which was read, between frames too."""

    def places(wave: Tensor) -> Tensor:
        return torch.arange(wave.shape[-1] // 160 + 1.0)[None, None]

    played = round(16000 / 2 ** (cents / 1200) / 4) * 4
    found = rct.pitch_shifted(torch.randn(1, 16000), cents, places, 110, grain=4)
    wanted = [min(frame * played / 16000, played // 160) for frame in range(110)]
    assert found[0, 0].tolist() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("strength", range(1, 6))
@pytest.mark.parametrize("up", [True, False])
def test_each_augmentation_is_as_strong_as_drawn(strength, up):
    wave = torch.randn(2, WAVE.samples)

    def made(method: str) -> Tensor:
        torch.manual_seed(9)
        return rct.augmented(wave, rct.Augmentation(method, strength, up), MEL, WAVE.frames)

    cents = strength * (50 if up else -50)
    wanted = rct.pitch_shifted(wave, cents, MEL, WAVE.frames)
    torch.testing.assert_close(made("pitch_shift"), wanted)
    later = torch.cat([wave[:, -1600 * strength :], wave[:, : -1600 * strength]], 1)
    torch.testing.assert_close(made("time_shift"), MEL(later))
    masked = made("time_mask")
    torch.manual_seed(9)
    torch.testing.assert_close(masked, MEL(rct.time_mask(wave, 5 * strength)))


def test_at_its_limits_a_score_is_neither_sure_nor_absent():
    copies = rct.Copies(torch.tensor([[0, 1, 2], [0, 1, 2]]), 0)
    clips, mixed = torch.tensor([[0.75], [0.25], [0.875]]), torch.tensor([[0.5], [0.5], [0.5]])
    found = rct.self_consistency(torch.cat([clips, mixed, clips]), copies, 0.75, 0.25)
    assert float(found) == pytest.approx(0.25 / 3)  # the last alone is known: it should be 1


def test_frames_and_clips_of_all_parts_make_one_loss():
    torch.manual_seed(0)
    parts = {"synth": slice(0, 6), "weak": slice(6, 9), "unlabelled": slice(9, 15)}
    frames, clips = torch.rand(15, 7, 4), torch.rand(15, 4)
    copies = {
        name: rct.Copies(rct.draw_order((part.stop - part.start) // 3, torch.device("cpu")), shift)
        for shift, (name, part) in enumerate(parts.items())
    }
    wanted = 0.0
    for name, weight in (("synth", 0.25), ("weak", 0.25), ("unlabelled", 0.5)):
        of_frames, of_clips = (
            float(rct.self_consistency(scores[parts[name]], copies[name], 0.75, 0.25))
            for scores in (frames, clips)
        )
        wanted += weight * (of_frames + of_clips) / 2
    found = rct.of_copies([frames, clips], parts, copies, 0.75, 0.25)
    assert float(found) == pytest.approx(wanted, rel=1e-5)
