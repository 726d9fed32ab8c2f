"""Several GPUs, several jobs: who gets which place, on devices that are only told of."""

from __future__ import annotations

import pytest
import torch

from sedrepro.errors import SedreproError
from sedrepro.inference import cards, devices
from sedrepro.inference.cards import claim, wait

GIB = 2**30


class Told:
    """Devices of 80 GiB, some of whose memory others use, and some of which fail."""

    def __init__(self, count: int, used: dict[int, float] | None = None, failing=()) -> None:
        self.count, self.used, self.failing = count, used or {}, failing

    def names(self) -> list[str]:
        return [f"device{index}" for index in range(self.count)]

    def memory(self, index: int) -> tuple[int, int]:
        if index in self.failing:
            raise RuntimeError("GPU is lost")
        return int((80 - self.used.get(index, 0)) * GIB), 80 * GIB


def claims(told, share, folder, count):
    """The devices that so many jobs get one after the other; None for one that has to wait."""
    return [claim(told, share, folder) for _ in range(count)]


def places(found):
    return [one and one.index for one in found]


def test_twelve_runs_on_four_devices_with_two_places_each(tmp_path):
    found = claims(Told(4), 2, tmp_path, 12)
    assert places(found) == [0, 1, 2, 3, 0, 1, 2, 3, None, None, None, None]
    found[6].lock.close()  # a run on device 2 has ended
    assert places(claims(Told(4), 2, tmp_path, 2)) == [2, None]


def test_a_device_is_one_jobs_own_unless_sharing_is_asked_for(tmp_path):
    assert places(claims(Told(2), 1, tmp_path, 3)) == [0, 1, None]


def test_a_device_whose_memory_another_user_holds_is_left_alone(tmp_path):
    others = Told(4, used={0: 60, 3: 10})
    assert places(claims(others, 1, tmp_path / "whole", 3)) == [1, 2, None]
    # Half of a device is still there on the last, which two may share.
    assert places(claims(others, 2, tmp_path / "half", 7)) == [1, 2, 3, 1, 2, 3, None]


def test_a_device_that_fails_is_passed_over(tmp_path):
    assert places(claims(Told(3, failing=[0]), 1, tmp_path, 3)) == [1, 2, None]


def test_where_no_device_answers_nobody_waits(tmp_path):
    with pytest.raises(SedreproError, match=r"no GPU answers .*device0: GPU is lost.*device: cpu"):
        claim(Told(2, failing=[0, 1]), 1, tmp_path)


def test_where_none_is_free_the_job_waits_with_one_line_and_goes_on(tmp_path, monkeypatch, capsys):
    told, slept = Told(1, used={0: 70}), []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            told.used = {}

    monkeypatch.setattr(cards.time, "sleep", sleep)
    assert wait(told, 1, tmp_path).index == 0
    assert len(slept) == 3
    assert capsys.readouterr().out.splitlines() == [
        "waiting for a GPU: none of 1 has a free place and the memory (see nvidia-smi)"
    ]


def test_waiting_ends_when_the_job_is_asked_to(tmp_path):
    def check():
        raise SedreproError("stopped")

    with pytest.raises(SedreproError, match="stopped"):
        wait(Told(1, used={0: 70}), 1, tmp_path, check)


def test_a_job_has_one_device_however_often_it_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "Visible", lambda: Told(2))
    monkeypatch.setattr(devices, "_claimed", [])
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    assert [devices.choose("auto", 1) for _ in range(2)] == [torch.device("cuda", 0)] * 2
    assert devices.choose("auto", 0) == torch.device("cpu")
    assert claim(Told(2), 1, tmp_path).index == 1


def test_only_devices_that_the_process_may_see_are_asked(monkeypatch):
    """PyTorch counts those of CUDA_VISIBLE_DEVICES, which SLURM sets for its jobs."""

    class Properties:
        uuid = "the-second"

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    assert cards.Visible().names() == ["the-second"]
