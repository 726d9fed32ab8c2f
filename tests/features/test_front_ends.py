from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from sedrepro.features.front_ends import Mel
from sedrepro.features.kinds import MEL, WAVEFORM
from sedrepro.features.normalise import decibels, min_max
from sedrepro.inference.networks import as_input
from sedrepro.settings import FrontEnd

FULL = FrontEnd()
MINI = FrontEnd(seconds=1.0, n_fft=512, hop=128, n_mels=32, f_min=50.0, f_max=7000.0)


def signal(seconds: float, rate: int = 16000) -> np.ndarray:
    """A sweep, a click and noise: fixed, and with something in every band."""
    time = np.arange(int(seconds * rate)) / rate
    samples = 0.4 * np.sin(2 * np.pi * (100 + 3500 * time / seconds) * time)
    samples += 0.05 * np.random.default_rng(3).standard_normal(len(time))
    samples[len(time) // 3] = 1.0
    return samples.astype(np.float32)


def mel(front_end: FrontEnd, samples: np.ndarray) -> np.ndarray:
    return Mel(front_end)(torch.from_numpy(samples)).numpy()


def by_hand(front_end: FrontEnd, samples: np.ndarray) -> np.ndarray:
    """The definition, written out in float64: reflect, frame, window, transform, HTK triangles."""
    n = front_end.n_fft
    padded = np.pad(samples.astype(np.float64), n // 2, mode="reflect")
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(n) / (n - 1))
    frames = [
        np.abs(np.fft.rfft(window * padded[k * front_end.hop : k * front_end.hop + n]))
        for k in range(1 + len(samples) // front_end.hop)
    ]
    to_mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    edges = np.linspace(to_mel(front_end.f_min), to_mel(front_end.f_max), front_end.n_mels + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)
    bins = np.arange(n // 2 + 1) * front_end.sample_rate / n
    bank = np.zeros((front_end.n_mels, len(bins)))
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
        bank[band] = np.maximum(0, np.minimum(rise, fall))
    return bank @ (np.array(frames).T ** front_end.power)


@pytest.mark.parametrize("front_end", [FULL, MINI, MINI.model_copy(update={"power": 2.0})])
def test_mel_is_its_definition(front_end: FrontEnd) -> None:
    samples = signal(front_end.seconds)
    expected = by_hand(front_end, samples)
    ours = mel(front_end, samples)
    assert ours.shape == front_end.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-4 * expected.max())
    # Float32 rounding of a loud clip stays far below what the log sees: 0.01 dB.
    audible = expected > 1e-3 * expected.max()
    assert np.abs(20 * np.log10(ours[audible] / expected[audible])).max() < 0.01


@pytest.mark.parametrize("front_end", [FULL, MINI])
def test_mel_agrees_with_librosa(front_end: FrontEnd) -> None:
    """Tolerance: 1e-4 of the clip's largest magnitude, and 0.01 dB where it is audible."""
    samples = signal(front_end.seconds)
    expected = librosa.feature.melspectrogram(
        y=samples,
        sr=front_end.sample_rate,
        n_fft=front_end.n_fft,
        hop_length=front_end.hop,
        window=np.hamming(front_end.n_fft),
        center=True,
        pad_mode="reflect",
        power=1.0,
        n_mels=front_end.n_mels,
        fmin=front_end.f_min,
        fmax=front_end.f_max,
        htk=True,
        norm=None,
    )
    ours = mel(front_end, samples)
    np.testing.assert_allclose(ours, expected, atol=1e-4 * expected.max())
    ours_db, expected_db = (20 * np.log10(np.maximum(x, 1e-5)) for x in (ours, expected))
    assert np.abs(ours_db - expected_db)[expected > 1e-2].max() < 0.01


def test_ten_seconds_are_626_frames_of_128_bands() -> None:
    assert mel(FULL, np.zeros(160000, np.float32)).shape == (128, 626)


def test_mel_golden_values() -> None:
    """A 1 kHz tone of amplitude 0.5, in the bands around it; decided once, compared to 0.01 %."""
    time = np.arange(16000) / 16000
    ours = mel(FrontEnd(seconds=1.0), (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32))
    assert ours.shape == (128, 63)
    column = ours[:, 31]
    np.testing.assert_allclose(column[44:46], [297.42831, 214.62146], rtol=1e-4)
    np.testing.assert_allclose(column[[42, 43, 46]], [0.0051045, 0.0202808, 0.0146475], rtol=0.02)
    assert np.delete(column, [44, 45]).max() < 0.03


def test_mel_takes_batches_and_ignores_autocast() -> None:
    module = Mel(MINI)
    batch = torch.from_numpy(np.stack([signal(1.0), signal(1.0)[::-1].copy()]))
    single = torch.stack([module(clip) for clip in batch])
    torch.testing.assert_close(module(batch), single)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(batch)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, single)


def test_float16_holds_every_magnitude_that_audio_can_have() -> None:
    """Nothing overflows at full scale, and what underflows lies below the floor of the log."""
    encode = MEL.transform(FULL)
    square = np.sign(np.sin(2 * np.pi * 997 * np.arange(160000) / 16000)).astype(np.float32)
    noise = np.random.default_rng(0).choice([-1.0, 1.0], 160000).astype(np.float32)
    for loud in (np.ones(160000, np.float32), square, noise):
        stored = encode(loud)
        assert stored.dtype == np.float16
        assert np.isfinite(stored).all()
        assert stored.max() < 65504 / 4
    quiet = signal(10.0) * np.float32(2**-14)  # its quietest bands reach the floor
    stored = torch.from_numpy(encode(quiet))
    exact = torch.from_numpy(mel(FULL, quiet))
    error = decibels(stored, low=-100.0) - decibels(exact, low=-100.0)
    assert error.abs().max() < 0.05
    assert (decibels(stored) - decibels(exact)).abs().max() < 0.005


def test_powers_are_stored_in_float32() -> None:
    powers = FrontEnd(seconds=1.0, power=2.0)
    stored = MEL.transform(powers)(np.ones(16000, np.float32))
    assert stored.dtype == MEL.dtype(powers) == "float32"
    assert stored.max() > 65504 / 2


def test_waveforms_survive_the_round_trip() -> None:
    front_end = FrontEnd(kind="waveform", seconds=1.0)
    encode = WAVEFORM.transform(front_end)
    every = np.arange(-32768, 32768, dtype=np.int16)
    for samples in (every, every[every < 100], every[abs(every) < 100], every[abs(every) < 2]):
        heard = samples.astype(np.float32) / 32768
        stored = encode(heard)
        assert stored.dtype == np.int16
        np.testing.assert_array_equal(as_input(torch.from_numpy(stored)).numpy(), heard)
    np.testing.assert_array_equal(encode(np.float32([-2, 1, 2])), [-32768, 32767, 32767, 0])
    np.testing.assert_array_equal(encode(np.zeros(3, np.float32)), [0, 0, 0, 0])
    exact = WAVEFORM.transform(front_end.model_copy(update={"form": "float32"}))
    odd = np.float32([0.1, -1e-9])
    np.testing.assert_array_equal(as_input(torch.from_numpy(exact(odd))).numpy(), odd)


@pytest.mark.parametrize("level", [-20, -40, -55, -70, -85])
def test_quiet_clips_keep_their_digits(level) -> None:
    """The network's input scales each clip to its own range, down to its emptiest band."""
    front_end = FrontEnd(kind="waveform", seconds=2.0)
    draw, mel = np.random.default_rng(0), Mel(front_end)
    pink = np.fft.rfft(draw.standard_normal(32000)) / np.sqrt(1 + np.arange(16001))
    sound = np.fft.irfft(pink * (np.arange(16001) < 4000))  # nothing above 2 kHz
    sound = (10 ** (level / 20) * sound / sound.std()).astype(np.float32)

    def heard(samples):
        return min_max(decibels(mel(torch.as_tensor(samples)[None])))

    kept = as_input(torch.from_numpy(WAVEFORM.transform(front_end)(sound)))
    rounded = np.rint(sound * 32768) / np.float32(32768)
    error, before = (
        (heard(samples) - heard(sound)).square().mean().sqrt() for samples in (kept, rounded)
    )
    assert error < 1e-3
    assert level > -40 or before > 5e-3  # what 16 bits without a scale do


def test_decibels_have_a_floor_and_a_range() -> None:
    magnitudes = torch.tensor([0.0, 1e-9, 1e-5, 1e-3, 0.01, 1.0, 10.0, 1e6])
    expected = torch.tensor([-50.0, -50.0, -50.0, -50.0, -40.0, 0.0, 20.0, 80.0])
    torch.testing.assert_close(decibels(magnitudes), expected)
    assert decibels(magnitudes, low=-120.0)[:2].tolist() == [-100.0, -100.0]
    assert decibels(magnitudes.half()).dtype == torch.float32


def test_min_max_is_per_clip_over_bands_and_frames() -> None:
    spectra = torch.tensor([[[0.0, 1.0], [2.0, 4.0]], [[-50.0, 0.0], [0.0, 50.0]]])
    torch.testing.assert_close(
        min_max(spectra),
        torch.tensor([[[0.0, 0.25], [0.5, 1.0]], [[0.0, 0.5], [0.5, 1.0]]]),
    )
    torch.testing.assert_close(min_max(spectra, low=-1.0)[1], torch.tensor([[-1.0, 0], [0, 1.0]]))
    assert min_max(torch.full((1, 2, 3), -50.0)).tolist() == [[[0.0] * 3] * 2]  # silence: no NaN
