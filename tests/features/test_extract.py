from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sedrepro import audio, tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.features import extract as module
from sedrepro.features.extract import extract
from sedrepro.features.front_ends import Mel
from sedrepro.inference.networks import as_input
from sedrepro.settings import FrontEnd, Layout, Project, Subset
from sedrepro.store import Store

SUBSET = Subset("desed", "weak")
MEL = FrontEnd(seconds=1.0, n_fft=256, hop=128, n_mels=16)
WAVEFORM = FrontEnd(kind="waveform", seconds=1.0)
PROJECT = Project.model_validate({"front_ends": {"mel": MEL, "waveform": WAVEFORM}})
OUT = Path("weak.h5")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tone(seconds: float, rate: int, pitch: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)).astype("f4")


def table(paths: list[str], seconds: list[float] | None = None) -> None:
    listed = [
        Clip(Path(path).stem, "weak", length, path=path)
        for path, length in zip(paths, seconds or [1.0] * len(paths), strict=True)
    ]
    path = Layout.of(PROJECT).table(SUBSET, "clips")
    tables.write(path, tables.clip_table(listed), tables.CLIPS)


def recordings(count: int) -> list[str]:
    """Clips in an order that is not that of their names."""
    names = [f"clip{(7 * index) % count}.wav" for index in range(count)]
    for index, name in enumerate(names):
        audio.write(name, tone(0.1, 16000, 200 + 10 * index), 16000)
    table(names)
    return names


def tree() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_a_store_holds_the_clips_in_table_order() -> None:
    names = recordings(5)
    extract(PROJECT, SUBSET, "mel", out=OUT)
    store = Store(OUT)
    assert store.clips == [Path(name).stem for name in names]
    assert store.shape == (5, 16, 126)
    assert store.dtype == np.float16
    assert store.attributes == {
        "front_end": MEL.model_dump(mode="json"),
        "corpus": "desed",
        "subset": "weak",
    }
    for index, name in enumerate(names):
        samples = torch.from_numpy(audio.fit(audio.read(name, 16000), 16000))
        np.testing.assert_array_equal(store[index], Mel(MEL)(samples).half().numpy())
    store.verify()


def test_waveforms_are_the_very_samples() -> None:
    values = np.random.default_rng(0).integers(-32768, 32768, 16000).astype(np.int16)
    soundfile.write("a.wav", values, 16000)
    table(["a.wav"])
    extract(PROJECT, SUBSET, "waveform", out=OUT)
    store = Store(OUT)
    assert store.dtype == np.int16
    np.testing.assert_array_equal(as_input(torch.from_numpy(store[0])), values / np.float32(32768))


def test_stereo_48_khz_short_and_long_clips_come_out_alike() -> None:
    soundfile.write("stereo.wav", np.stack([tone(1, 16000), np.zeros(16000)], axis=1), 16000)
    soundfile.write("fast.wav", tone(1, 48000), 48000)
    soundfile.write("short.wav", tone(0.25, 16000), 16000)
    soundfile.write("long.wav", tone(2.5, 16000), 16000)
    table(["stereo.wav", "fast.wav", "short.wav", "long.wav"], [1.0, 1.0, 0.25, 2.5])
    extract(PROJECT, SUBSET, "waveform", out=OUT)
    store = Store(OUT)
    stereo, fast, short, long = as_input(torch.from_numpy(store.read())).numpy()
    expected = tone(1, 16000)
    np.testing.assert_allclose(stereo, expected / 2, atol=1e-4)
    np.testing.assert_allclose(fast[800:-800], expected[800:-800], atol=2e-3)
    np.testing.assert_allclose(short[:4000], expected[:4000], atol=1e-4)
    assert not short[4000:].any()
    np.testing.assert_allclose(long, expected, atol=1e-4)
    assert store.seconds.tolist() == [1.0, 1.0, 0.25, 1.0]


def test_a_subset_without_clips_is_an_empty_store() -> None:
    table([])
    extract(PROJECT, SUBSET, "mel", out=OUT)
    store = Store(OUT)
    assert len(store) == 0
    assert store.read().shape == (0, 16, 126)
    store.verify()


@pytest.mark.parametrize("content", [b"not a wav", b""])
def test_an_unreadable_recording_is_named(content: bytes) -> None:
    names = recordings(3)
    Path(names[1]).write_bytes(content)
    with pytest.raises(SedreproError, match=rf"{names[1]}: cannot be read as audio") as failure:
        extract(PROJECT, SUBSET, "mel", out=OUT)
    assert "\n" not in str(failure.value)
    assert not OUT.exists()


def test_a_recording_without_samples_or_gone_is_named() -> None:
    names = recordings(3)
    soundfile.write(names[1], np.zeros(0), 16000)
    with pytest.raises(SedreproError, match=rf"{names[1]}: holds no audio"):
        extract(PROJECT, SUBSET, "mel", out=OUT)
    Path(names[1]).unlink()
    with pytest.raises(SedreproError, match=names[1]):
        extract(PROJECT, SUBSET, "mel", out=OUT)


def test_workers_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recordings(10)
    extract(PROJECT, SUBSET, "waveform", out=OUT)
    monkeypatch.setattr(module, "PART", 4)
    monkeypatch.setattr(module, "POOL_FROM", 10)
    extract(PROJECT, SUBSET, "waveform", out="parted.h5", workers=2)
    assert Store("parted.h5").content_key == Store(OUT).content_key
    # Worker processes leave coverage data of their own where they run.
    assert not any(name.startswith(".") and "coverage" not in name for name in tree())


def test_a_worker_names_the_recording_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    names = recordings(6)
    Path(names[4]).write_bytes(b"not a wav")
    monkeypatch.setattr(module, "PART", 2)
    monkeypatch.setattr(module, "POOL_FROM", 1)
    with pytest.raises(SedreproError, match=rf"{names[4]}: cannot be read as audio"):
        extract(PROJECT, SUBSET, "waveform", out=OUT, workers=2)


def dying() -> Callable[[int], None]:
    return os._exit


def test_a_killed_worker_is_one_line() -> None:
    with (
        pytest.raises(SedreproError, match="a worker process was killed"),
        module._mapping(dying, 2) as run,
    ):
        list(run([9]))


class Killed(BaseException):
    pass


def kill_at(monkeypatch: pytest.MonkeyPatch, count: int | None) -> list[str]:
    """Count the recordings that are read; end the process's work at the given one."""
    read: list[str] = []

    def watched(path: str, rate: int) -> np.ndarray:
        read.append(str(path))
        if count is not None and len(read) > count:
            raise Killed
        return original(path, rate)

    monkeypatch.setattr(module.audio, "read", watched)
    return read


original = audio.read


def test_a_killed_extraction_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    names = recordings(10)
    extract(PROJECT, SUBSET, "mel", out="whole.h5")
    monkeypatch.setattr(module, "PART", 4)
    kill_at(monkeypatch, 9)
    with pytest.raises(Killed):
        extract(PROJECT, SUBSET, "mel", out=OUT)
    assert not OUT.exists()
    read = kill_at(monkeypatch, None)
    extract(PROJECT, SUBSET, "mel", out=OUT)
    assert read == names[8:]
    assert Store(OUT).content_key == Store("whole.h5").content_key
    assert not any(name.startswith(".") for name in tree())


def test_parts_of_other_recordings_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    names = recordings(10)
    monkeypatch.setattr(module, "PART", 4)
    kill_at(monkeypatch, 9)
    with pytest.raises(Killed):
        extract(PROJECT, SUBSET, "waveform", out=OUT)
    audio.write(names[0], tone(0.3, 16000, 1234), 16000)
    read = kill_at(monkeypatch, None)
    extract(PROJECT, SUBSET, "waveform", out=OUT)
    assert read == names
    assert Store(OUT)[0][:4800].any()
    monkeypatch.undo()


def test_a_full_disk_is_one_line_and_leaves_no_store(root: Path) -> None:
    """The limit on file sizes stands in for the disk: writing beyond it fails the same way."""
    recordings(40)
    script = """
        import resource, sys
        sys.path.insert(0, {tests!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
        from test_extract import OUT, PROJECT, SUBSET, extract
        from sedrepro.errors import SedreproError
        try:
            extract(PROJECT, SUBSET, "waveform", out=OUT)
        except SedreproError as error:
            print(error)
            sys.exit(3)
    """
    script = textwrap.dedent(script).format(tests=str(root / "tests" / "features"))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{OUT}: cannot be written (File too large)\n"
    assert done.stderr == ""
    assert not any(name.endswith((".h5", ".tmp")) for name in tree())
