"""The filter bank of BEATs and the spectra of ATST against the library that defines them."""

import torch
import torchaudio

from sedrepro.features.atst import AtstMel
from sedrepro.features.kaldi import Fbank, frames, standardised


def test_the_bank_is_kaldis():
    torch.manual_seed(0)
    waves = torch.randn(2, 16000) * 0.1
    waves[1] += 0.3  # a constant offset, which each frame loses
    found = Fbank()(waves)
    for wave, bank in zip(waves, found, strict=True):
        wanted = torchaudio.compliance.kaldi.fbank(
            wave[None] * 2**15,
            num_mel_bins=128,
            sample_frequency=16000,
            frame_length=25,
            frame_shift=10,
        )
        torch.testing.assert_close(bank, wanted, rtol=0, atol=1e-4)
    assert found.shape[1] == frames(16000) == 98
    assert frames(160000) == 998


def test_silence_is_finite_and_standardised_by_the_constants():
    bank = Fbank()(torch.zeros(1, 800))
    assert torch.isfinite(bank).all()
    wanted = (bank.double() - 15.41663) / 13.11164
    torch.testing.assert_close(standardised(bank).double(), wanted, rtol=1e-5, atol=1e-5)


def test_atst_cuts_each_clip_below_its_own_maximum():
    torch.manual_seed(0)
    loud = torch.randn(1, 16000) * 0.5
    quiet = torch.randn(1, 16000) * 1e-6
    front = AtstMel()
    together = front(torch.cat([loud, quiet]))
    torch.testing.assert_close(together[1:], front(quiet))
    mel = torchaudio.transforms.MelSpectrogram(
        16000, n_fft=1024, hop_length=160, n_mels=64, f_min=60, f_max=7800
    )(loud)
    level = 10 * mel.clamp(min=1e-10).log10()
    level = torch.maximum(level, level.max() - 80).clamp(-50, 80)
    wanted = 2 * (level + 79.6482) / (50.6842 + 79.6482) - 1
    torch.testing.assert_close(together[:1], wanted, rtol=1e-4, atol=1e-4)
