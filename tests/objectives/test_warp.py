"""Frequency warps against interpolation by hand."""

import pytest
import torch

from sedrepro.objectives.warp import warped

GROUPS = [slice(0, 2), slice(2, 2), slice(2, 4)]


def weight(distance: float) -> float:
    """Of a point that lies so far away, in cubic interpolation (Keys, a = -0.75)."""
    a, x = -0.75, abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def stretched(values: list[float], length: int) -> list[float]:
    """The first and the last value stay at the ends."""
    last = len(values) - 1
    found = []
    for index in range(length):
        place = index * last / (length - 1)
        near = range(int(place) - 1, int(place) + 3)
        found.append(sum(weight(place - k) * values[min(max(k, 0), last)] for k in near))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_each_group_has_one_band_stretched_over_all_bands(seed):
    spectra = torch.rand(5, 40, 3)
    torch.manual_seed(seed)
    found = warped(spectra, GROUPS, True)
    torch.manual_seed(seed)  # the same draws: how high the band is, and where it begins
    for part in (GROUPS[0], GROUPS[2]):
        height = int(40 * (0.6 + 0.4 * float(torch.rand(()))))
        first = int(torch.randint(40 - height + 1, ()))
        for clip in range(part.start, part.stop):
            for frame in range(3):
                band = spectra[clip, first : first + height, frame].tolist()
                assert found[clip, :, frame].tolist() == pytest.approx(
                    stretched(band, 40), abs=1e-5
                )
    assert torch.equal(found[4], spectra[4])  # in no group


def test_a_band_has_at_least_its_share_and_may_begin_and_end_anywhere():
    """Of a spectrum that holds the numbers of its bands the ends say which band it was."""
    torch.manual_seed(0)
    spectra = torch.arange(10.0)[None, :, None].expand(1, 10, 2)
    bands = {
        (round(float(one[0, 0, 0])), round(float(one[0, -1, 0])))
        for one in (warped(spectra, [slice(0, 1)], True) for _ in range(400))
    }
    assert bands == {(a, a + h - 1) for h in (6, 7, 8, 9) for a in range(10 - h + 1)}


def test_without_warps_spectra_are_as_they_were():
    spectra = torch.rand(4, 40, 7)
    assert warped(spectra, GROUPS, False) is spectra
    kept = spectra.clone()
    warped(spectra, GROUPS, True)
    assert torch.equal(spectra, kept)
