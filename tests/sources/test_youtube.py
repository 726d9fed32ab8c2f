"""YouTube clips, tested at the boundary to yt-dlp with recorded answers; cutting is real."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest
import soundfile
import yt_dlp

from sedrepro.errors import SedreproError
from sedrepro.sources import youtube
from sedrepro.sources.fetch import obtain

# What yt-dlp said of real videos; {} is the video id.
ANSWERS = {
    "unavailable": [
        "ERROR: [youtube] {}: Video unavailable",
        "ERROR: [youtube] {}: Video unavailable. This video has been removed by the uploader",
        "ERROR: [youtube] {}: Video unavailable. This video is no longer available because the "
        "YouTube account associated with this video has been terminated.",
        "ERROR: [youtube] {}: Video unavailable. This video contains content from UMG, who has "
        "blocked it in your country on copyright grounds",
        "ERROR: [youtube] {}: This video is not available",
        "ERROR: [youtube] {}: This video has been removed for violating YouTube's Terms of Service",
    ],
    "private": [
        "ERROR: [youtube] {}: Private video. Sign in if you've been granted access to this video",
        "ERROR: [youtube] {}: Join this channel to get access to members-only content",
    ],
    "age-gated": [
        "ERROR: [youtube] {}: Sign in to confirm your age. This video may be inappropriate for "
        "some users. Use --cookies-from-browser or --cookies for the authentication.",
    ],
    "rate-limited": [
        "ERROR: [youtube] {}: Sign in to confirm you’re not a bot. Use --cookies-from-browser or "
        "--cookies for the authentication.",
        "ERROR: [youtube] {}: Video unavailable. This content isn't available, try again later. "
        "Your account has been rate-limited by YouTube for up to an hour.",
        "ERROR: unable to download video data: HTTP Error 429: Too Many Requests",
    ],
    "offline": [
        "ERROR: [youtube] {}: Unable to download API page: [Errno -3] Temporary failure in name "
        "resolution (caused by TransportError(...))",
        "ERROR: [youtube] {}: Unable to download webpage: The read operation timed out",
        "ERROR: unable to download video data: HTTP Error 503: Service Unavailable",
    ],
    "unknown": [
        "ERROR: [youtube] {}: Requested format is not available. Use --list-formats",
        "ERROR: unable to download video data: HTTP Error 403: Forbidden",
        "ERROR: [youtube] {}: Unable to extract something nobody has seen",
    ],
}

NAMES = [f"Yvideo{n:06d}_{n}0.000_{n + 1}0.000.wav" for n in range(5)]
FOLDER = Path("data/full/raw/desed/audio/train/weak")
LEDGER = Path("data/full/downloads/thing/clips.tsv")


@pytest.mark.parametrize(
    ("state", "message"), [(state, m) for state, found in ANSWERS.items() for m in found]
)
def test_recorded_answers_are_told_apart(state: str, message: str) -> None:
    assert youtube.classify(message.format("YKK227gPpRn4"[1:])) == state


def test_names_of_both_kinds() -> None:
    assert youtube.parse("Y00pbt6aJV8Y_350.000_360.000.wav") == youtube.Clip(
        "Y00pbt6aJV8Y_350.000_360.000.wav", "00pbt6aJV8Y", 350.0, 360.0
    )
    assert youtube.parse("1Ro0FgMWTUE_120_130.wav").video == "1Ro0FgMWTUE"
    assert youtube.parse("Y-_a_b-c_d_e_0.500_1.000.wav").video == "-_a_b-c_d_e"
    for wrong in ("soundscape_1.wav", "Y00pbt6aJV8Y_350.000.wav", "../Y00pbt6aJV8Y_1_2.wav"):
        with pytest.raises(SedreproError, match="clip names look like"):
            youtube.parse(wrong)


def test_the_real_tables_are_understood(acceptance: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(acceptance / "desed-tables" / "metadata.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    counts = {path.name: len(youtube.listed(path)) for path in tmp_path.rglob("*.tsv")}
    assert counts == {
        "weak.tsv": 1578, "unlabel_in_domain.tsv": 14412, "validation.tsv": 1168, "public.tsv": 692,
    }  # fmt: skip


def record(path: Path, codec: str, rate: int, seconds: float, channels: int) -> None:
    """A recording whose pitch tells the time: 200 Hz more in every second."""
    times = np.arange(int(seconds * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * np.cumsum(200 * (np.floor(times) + 1)) / rate)
    layout = "stereo" if channels == 2 else "mono"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        size = stream.codec_context.frame_size or 960
        for start in range(0, len(tone), 960 if codec == "libopus" else size or 1024):
            piece = tone[start : start + (960 if codec == "libopus" else size or 1024)]
            samples = np.tile(piece.astype(np.float32), (channels, 1))
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * youtube.RATE / len(samples))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [("a.m4a", "aac", 44100, 2), ("a.webm", "libopus", 48000, 2), ("b.m4a", "aac", 22050, 1)],
)
def test_the_right_seconds_are_cut(tmp_path, name, codec, rate, channels) -> None:
    recording = tmp_path / name
    record(recording, codec, rate, 14.0, channels)
    samples = youtube.cut(recording, 7.0, 11.0)
    assert samples.dtype == np.float32
    assert len(samples) == 4 * youtube.RATE
    for second in range(4):
        middle = samples[int((second + 0.2) * youtube.RATE) : int((second + 0.8) * youtube.RATE)]
        assert pitch(middle) == pytest.approx(200 * (7 + second + 1), abs=4)
    edge = samples[: int(0.9 * youtube.RATE)]
    assert pitch(edge) == pytest.approx(1600, abs=4)
    assert len(youtube.cut(recording, 12.0, 22.0)) == pytest.approx(2 * youtube.RATE, abs=3000)
    assert len(youtube.cut(recording, 60.0, 70.0)) == 0


class Recorded:
    """In yt-dlp's place: a message per video raises it, a path is delivered, nothing else."""

    answers: ClassVar[dict[str, list[str | Path]]] = {}
    asked: ClassVar[list[str]] = []

    def __init__(self, options: dict) -> None:
        self.options = options

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def download(self, urls: list[str]) -> None:
        video = urls[0].rpartition("=")[2]
        self.asked.append(video)
        answers = self.answers[video]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            raise yt_dlp.utils.DownloadError(answer)
        target = self.options["outtmpl"].replace("%(ext)s", answer.suffix[1:])
        Path(target).write_bytes(answer.read_bytes())


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    """A minute of sound."""
    path = tmp_path_factory.mktemp("youtube") / "long.m4a"
    record(path, "aac", 44100, 60.0, 1)
    return path


@pytest.fixture
def tube(project, long, monkeypatch):
    """A project with five clips on a recorded YouTube; `tube(answers)` sets what it says."""
    settings = project(
        {
            "thing": {
                "corpus": "desed",
                "clips": {"table": "weak.tsv", "folder": "audio/train/weak"},
                "after": ["tables"],
            },
            "tables": {"files": [{"name": "weak.tsv", "urls": ["http://127.0.0.1:9/weak.tsv"]}]},
        },
        fetch={"workers": 1, "pause": 0.03},
    )
    table = Path("data/full/raw/desed/weak.tsv")
    table.parent.mkdir(parents=True)
    table.write_text("filename\tevent_labels\n" + "".join(f"{n}\tDog\n{n}\tCat\n" for n in NAMES))
    monkeypatch.setattr(yt_dlp, "YoutubeDL", Recorded)

    def answer(found: dict[int, list[str]]):
        Recorded.asked.clear()
        Recorded.answers = {
            name[1:12]: [*found.get(n, []), long][: 1 if n in found and len(found[n]) == 1 else 9]
            for n, name in enumerate(NAMES)
        }
        return settings

    return answer


def test_all_clips_found(tube) -> None:
    settings = tube({})
    status = obtain("thing", settings)
    assert (status["status"], status["reason"], status["files"]) == ("ok", "", 5)
    for n, name in enumerate(NAMES):
        samples, rate = soundfile.read(FOLDER / name)
        assert (rate, samples.shape) == (44100, (441000,))
        assert pitch(samples[4410:39690]) == pytest.approx(200 * (10 * n + 1), abs=4)
    obtain("thing", settings)
    assert len(Recorded.asked) == 5


def test_permanent_losses_are_counted_and_not_asked_again(tube) -> None:
    gone = {
        0: [ANSWERS["unavailable"][0]],
        1: [ANSWERS["private"][0]],
        2: [ANSWERS["age-gated"][0]],
    }
    settings = tube(gone)
    status = obtain("thing", settings)
    assert status["status"] == "partial"
    assert status["files"] == 2
    assert status["reason"] == "2 of 5 clips are there (1 age-gated, 1 private, 1 unavailable)"
    assert obtain("thing", settings) == status
    assert len(Recorded.asked) == 5
    states = [line.split("\t")[:2] for line in LEDGER.read_text().splitlines()]
    assert [NAMES[0], "unavailable"] in states


def test_a_clip_beyond_the_end_of_its_video_is_short(tube, tmp_path) -> None:
    settings = tube({})
    brief = tmp_path / "brief.m4a"
    record(brief, "aac", 44100, 20.4, 1)
    Recorded.answers = {name[1:12]: [brief] for name in NAMES}
    status = obtain("thing", settings)
    assert (status["files"], status["status"]) == (2, "partial")
    assert "3 short" in status["reason"]


def test_a_partly_left_clip_is_kept_at_its_true_length(tube, tmp_path) -> None:
    settings = tube({})
    brief = tmp_path / "brief.m4a"
    record(brief, "aac", 44100, 46.0, 1)
    Recorded.answers = {name[1:12]: [brief] for name in NAMES}
    assert obtain("thing", settings)["status"] == "ok"
    assert soundfile.info(FOLDER / NAMES[4]).duration == pytest.approx(6.0, abs=0.1)


def test_no_network_fails_however_often(tube) -> None:
    settings = tube({n: [ANSWERS["offline"][0]] for n in range(5)})
    for _ in range(5):
        with pytest.raises(SedreproError, match="5 of 5 clips are still to be fetched"):
            obtain("thing", settings)
    assert obtain("thing", tube({}))["status"] == "ok"


def test_a_youtube_that_is_closed_to_this_machine_counts_as_absent_where_that_is_said(tube) -> None:
    settings = tube({n: [ANSWERS["offline"][0]] for n in (1, 2)})
    fetch = settings.data.fetch.model_copy(update={"unreachable": "absent"})
    data = settings.data.model_copy(update={"fetch": fetch})
    status = obtain("thing", settings.model_copy(update={"data": data}))
    assert (status["status"], status["files"]) == ("partial", 3)
    assert "2 offline" in status["reason"]
    assert obtain("thing", tube({}))["status"] == "ok"


def test_a_rate_limit_fails_first_and_counts_as_absence_in_the_end(tube) -> None:
    wall = {n: [ANSWERS["rate-limited"][0]] for n in (1, 2, 3, 4)}
    settings = tube(wall)
    for _ in range(2):
        with pytest.raises(SedreproError, match="4 of 5 clips are still to be fetched"):
            obtain("thing", settings)
    assert (FOLDER / NAMES[0]).exists()
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("partial", 1)
    assert "4 rate-limited" in status["reason"]
    # Later it may work again: only what is missing is asked for.
    settings = tube({})
    assert obtain("thing", settings)["status"] == "ok"
    assert len(Recorded.asked) == 4


def test_after_a_row_of_refusals_youtube_is_left_alone(tube, monkeypatch) -> None:
    monkeypatch.setattr(youtube, "WALL", 2)
    settings = tube({n: [ANSWERS["rate-limited"][0]] for n in range(5)})
    with pytest.raises(SedreproError, match="5 of 5 clips"):
        obtain("thing", settings)
    assert 2 <= len(Recorded.asked) < 5


def test_a_torn_ledger_line_is_no_attempt(tube) -> None:
    settings = tube({0: [ANSWERS["unavailable"][0]]})
    LEDGER.parent.mkdir(parents=True)
    LEDGER.write_text(f"{NAMES[0]}\tunavailable\t0.000\tgone\n{NAMES[1]}\tunavai")
    status = obtain("thing", settings)
    assert status["files"] == 4
    assert "Yvideo000000"[1:] not in Recorded.asked
    assert all(
        line.count("\t") == 3 for line in LEDGER.read_text().splitlines() if "unavai\t" in line
    )


def test_clips_put_by_hand_count(tube, tmp_path) -> None:
    settings = tube({0: [ANSWERS["unavailable"][0]]})
    FOLDER.mkdir(parents=True)
    soundfile.write(FOLDER / NAMES[0], np.zeros(441000), 44100)
    assert obtain("thing", settings)["status"] == "ok"
    assert len(Recorded.asked) == 4


def test_without_its_list_a_resource_is_unavailable(tube) -> None:
    settings = tube({})
    Path("data/full/raw/desed/weak.tsv").unlink()
    status = obtain("thing", settings)
    assert status["status"] == "unavailable"
    assert "tables" in status["reason"]


def test_a_video_without_sound_is_unavailable(tube, tmp_path) -> None:
    settings = tube({})
    broken = tmp_path / "broken.m4a"
    broken.write_bytes(b"not a container")
    Recorded.answers = {name[1:12]: [broken] for name in NAMES}
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("unavailable", 0)
    assert "5 unavailable" in status["reason"]
