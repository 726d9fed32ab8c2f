"""YouTube clips, tested at the boundary to yt-dlp with recorded answers; cutting is real."""

from __future__ import annotations

import io
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest
import soundfile
import yaml
import yt_dlp
from loopback import Host

from sedrepro.errors import SedreproError
from sedrepro.files import write_json
from sedrepro.settings import Layout, Project
from sedrepro.sources import arrival, clips, ytdlp
from sedrepro.sources.fetch import obtain
from sedrepro.sources.policies import HOUR

# What yt-dlp says of videos; {} is the video id.
ANSWERS = {
    "removed": [
        "ERROR: [youtube] {}: Video unavailable. This video has been removed by the uploader",
        "ERROR: [youtube] {}: Video unavailable. This video is no longer available because the "
        "YouTube account associated with this video has been terminated.",
        "ERROR: [youtube] {}: Video unavailable. This video is no longer available because the "
        "uploader has closed their YouTube account.",
        "ERROR: [youtube] {}: This video has been removed for violating YouTube's Terms of Service",
        "ERROR: [youtube] {}: This video has been removed for violating YouTube's policy on hate "
        "speech. Learn more about combating hate speech in your country.",
        "ERROR: [youtube] {}: Video unavailable. This video contains content from UMG, who has "
        "blocked it on copyright grounds",
        "ERROR: [youtube] {}: This channel was removed because it violated our guidelines",
    ],
    "unavailable": [
        "ERROR: [youtube] {}: Video unavailable",
        "ERROR: [youtube] {}: This video is not available",
        "ERROR: [youtube] {}: This video isn't available anymore",
        "ERROR: [youtube] {}: Premieres in 5 hours",
    ],
    "region": [
        "ERROR: [youtube] {}: Video unavailable. This video contains content from UMG, who has "
        "blocked it in your country on copyright grounds",
        "ERROR: [youtube] {}: The uploader has not made this video available in your country",
    ],
    "private": [
        "ERROR: [youtube] {}: Private video. Sign in if you've been granted access to this video",
        "ERROR: [youtube] {}: Join this channel to get access to members-only content",
    ],
    "age": [
        "ERROR: [youtube] {}: Sign in to confirm your age. This video may be inappropriate for "
        "some users. Use --cookies-from-browser or --cookies for the authentication.",
        "ERROR: [youtube] {}: Content check required. Sign in to watch it",
    ],
    "refused": [
        "ERROR: [youtube] {}: Sign in to confirm you’re not a bot. Use --cookies-from-browser or "
        "--cookies for the authentication.",
        "ERROR: [youtube] {}: Video unavailable. This content isn't available, try again later. "
        "The current session has been rate-limited by YouTube for up to an hour.",
        "ERROR: [youtube] {}: Video unavailable. YouTube is requiring a captcha challenge before "
        "playback",
        "ERROR: All player responses are invalid. Your IP is likely being blocked by Youtube",
        "ERROR: unable to download video data: HTTP Error 429: Too Many Requests",
    ],
    "offline": [
        "ERROR: [youtube] {}: Unable to download API page: [Errno -3] Temporary failure in name "
        "resolution (caused by TransportError(...))",
        "ERROR: [youtube] {}: Unable to download webpage: The read operation timed out",
        "ERROR: unable to download video data: HTTP Error 503: Service Unavailable",
    ],
    "client": [
        "ERROR: [youtube] {}: Video unavailable. Playback on other websites has been disabled by "
        "the video owner",
        "ERROR: [youtube] {}: Requested format is not available. Use --list-formats",
        "ERROR: [youtube] {}: The following content is not available on this app",
        "ERROR: unable to download video data: HTTP Error 403: Forbidden",
        "ERROR: [youtube] {}: Failed to extract any player response",
    ],
    "unknown": ["ERROR: [youtube] {}: Unable to recall something nobody has seen"],
}

NAMES = [f"Yvideo{n:06d}_{n}0.000_{n + 1}0.000.wav" for n in range(5)]
FOLDER = Path("data/full/raw/desed/audio/train/weak")
LEDGER = Path("data/full/downloads/thing/clips.tsv")


@pytest.mark.parametrize(
    ("state", "message"), [(state, m) for state, found in ANSWERS.items() for m in found]
)
def test_recorded_answers_are_told_apart(state: str, message: str) -> None:
    assert ytdlp.classify(message.format("YKK227gPpRn4"[1:])) == state


def test_without_a_javascript_runtime_not_available_means_little() -> None:
    for message in ANSWERS["unavailable"]:
        assert ytdlp.classify(message, scripted=False) == "client"
    assert ytdlp.classify(ANSWERS["removed"][0], scripted=False) == "removed"


def test_names_of_both_kinds() -> None:
    assert clips.parse("Y00pbt6aJV8Y_350.000_360.000.wav") == clips.Clip(
        "Y00pbt6aJV8Y_350.000_360.000.wav", "00pbt6aJV8Y", 350.0, 360.0
    )
    assert clips.parse("1Ro0FgMWTUE_120_130.wav").video == "1Ro0FgMWTUE"
    assert clips.parse("Y-_a_b-c_d_e_0.500_1.000.wav").video == "-_a_b-c_d_e"
    for wrong in ("soundscape_1.wav", "Y00pbt6aJV8Y_350.000.wav", "../Y00pbt6aJV8Y_1_2.wav"):
        with pytest.raises(SedreproError, match="clip names look like"):
            clips.parse(wrong)


def test_the_real_tables_are_understood(acceptance: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(acceptance / "desed-tables" / "metadata.tar.xz") as archive:
        archive.extractall(tmp_path)
    counts = {path.name: len(clips.listed(path)) for path in tmp_path.rglob("*.tsv")}
    counts.pop("public.tsv", None)  # it comes inside its audio's archive
    assert counts == {"weak.tsv": 1578, "unlabel_in_domain.tsv": 14412, "validation.tsv": 1168}


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
            frame.sample_rate = rate
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * clips.RATE / len(samples))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [("a.m4a", "aac", 44100, 2), ("a.webm", "libopus", 48000, 2), ("b.m4a", "aac", 22050, 1)],
)
def test_the_right_seconds_are_cut(tmp_path, name, codec, rate, channels) -> None:
    recording = tmp_path / name
    record(recording, codec, rate, 14.0, channels)
    samples = clips.cut(recording, 7.0, 11.0)
    assert samples.dtype == np.float32
    assert len(samples) == 4 * clips.RATE
    for second in range(4):
        middle = samples[int((second + 0.2) * clips.RATE) : int((second + 0.8) * clips.RATE)]
        assert pitch(middle) == pytest.approx(200 * (7 + second + 1), abs=4)
    edge = samples[: int(0.9 * clips.RATE)]
    assert pitch(edge) == pytest.approx(1600, abs=4)
    assert len(clips.cut(recording, 12.0, 22.0)) == pytest.approx(2 * clips.RATE, abs=3000)
    assert len(clips.cut(recording, 60.0, 70.0)) == 0


class Recorded:
    """In yt-dlp's place: a message per video raises it, a path is delivered, nothing else."""

    answers: ClassVar[dict[str, list[str | Path]]] = {}
    asked: ClassVar[list[str]] = []
    length: ClassVar[float | None] = None

    def __init__(self, options: dict) -> None:
        self.options = options

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def extract_info(self, url: str, download: bool) -> dict:
        video = url.rpartition("=")[2]
        self.asked.append(video)
        answers = self.answers[video]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            raise yt_dlp.utils.DownloadError(answer)
        target = self.options["outtmpl"].replace("%(ext)s", answer.suffix[1:])
        Path(target).write_bytes(answer.read_bytes())
        return {"duration": self.length}


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
        fetch={"hold_out": 72.0},
    )
    table = Path("data/full/raw/desed/weak.tsv")
    table.parent.mkdir(parents=True)
    table.write_text("filename\tevent_labels\n" + "".join(f"{n}\tDog\n{n}\tCat\n" for n in NAMES))
    monkeypatch.setattr(yt_dlp, "YoutubeDL", Recorded)
    monkeypatch.setattr(Recorded, "length", None)
    monkeypatch.setattr(ytdlp, "runtime", lambda _: "deno")

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


def states() -> dict[str, list[str]]:
    """Every state each clip was in, in order."""
    found: dict[str, list[str]] = {}
    for line in LEDGER.read_text().splitlines():
        found.setdefault(line.split("\t")[0], []).append(line.split("\t")[1])
    return found


def changed(settings: Project, **fetch) -> Project:
    """The same project with other settings of its downloads."""
    allowed = fetch.pop("allow_partial", settings.data.allow_partial)
    update = {"fetch": settings.data.fetch.model_copy(update=fetch), "allow_partial": allowed}
    return settings.model_copy(update={"data": settings.data.model_copy(update=update)})


def test_permanent_losses_are_counted_and_not_asked_again(tube) -> None:
    settings = tube({0: [ANSWERS["removed"][0]], 1: [ANSWERS["private"][0]]})
    status = obtain("thing", settings)
    assert status["status"] == "partial"
    assert status["files"] == 3
    assert status["reason"] == "3 of 5 clips are there (1 private, 1 removed from YouTube)"
    assert obtain("thing", settings) == status
    assert len(Recorded.asked) == 5
    assert states()[NAMES[0]] == ["removed"]


@pytest.mark.parametrize("state", ["unavailable", "age", "region"])
def test_what_may_be_true_of_us_only_is_believed_when_said_again_hours_later(
    tube, clock, state
) -> None:
    settings = tube({0: [ANSWERS[state][0]], 1: [ANSWERS[state][0], ANSWERS["removed"][0]]})
    begun = clock.now()
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("partial", 3)
    assert states()[NAMES[0]] == [state, state]
    assert states()[NAMES[1]] == [state, "removed"]
    assert 6 * HOUR < clock.now() - begun < 7 * HOUR


def test_another_fetch_asks_again_for_what_was_not_final(tube) -> None:
    settings = tube({0: [ANSWERS["age"][0]]})
    assert obtain("thing", settings)["status"] == "partial"
    assert obtain("thing", tube({}))["status"] == "ok"
    assert len(Recorded.asked) == 1


def test_a_stream_that_ends_early_is_not_the_end_of_the_video(tube, tmp_path, monkeypatch) -> None:
    settings = tube({})
    cut_off = tmp_path / "cut-off.m4a"
    record(cut_off, "aac", 44100, 3.0, 1)
    monkeypatch.setattr(Recorded, "length", 60.0)
    whole = Recorded.answers[NAMES[0][1:12]][-1]
    Recorded.answers[NAMES[0][1:12]] = [cut_off, whole]
    assert obtain("thing", settings)["status"] == "ok"
    assert states()[NAMES[0]] == ["broken", "ok"]
    assert soundfile.info(FOLDER / NAMES[0]).duration == pytest.approx(10.0)


def test_a_clip_beyond_the_end_of_its_video_is_short(tube, tmp_path) -> None:
    settings = tube({})
    brief = tmp_path / "brief.m4a"
    record(brief, "aac", 44100, 20.4, 1)
    Recorded.answers = {name[1:12]: [brief] for name in NAMES}
    status = obtain("thing", settings)
    assert (status["files"], status["status"]) == (2, "partial")
    assert "3 beyond the end of the video" in status["reason"]


def test_a_partly_left_clip_is_kept_at_its_true_length(tube, tmp_path) -> None:
    settings = tube({})
    brief = tmp_path / "brief.m4a"
    record(brief, "aac", 44100, 46.0, 1)
    Recorded.answers = {name[1:12]: [brief] for name in NAMES}
    assert obtain("thing", settings)["status"] == "ok"
    assert soundfile.info(FOLDER / NAMES[4]).duration == pytest.approx(6.0, abs=0.1)


def test_without_a_network_it_waits_and_ends_in_an_error(tube, clock) -> None:
    settings = tube({n: [ANSWERS["offline"][0]] for n in range(5)})
    begun = clock.now()
    with pytest.raises(SedreproError, match="5 of 5 clips are still arriving"):
        obtain("thing", settings)
    assert clock.now() - begun == pytest.approx(72 * HOUR, rel=0.01)
    assert obtain("thing", tube({}))["status"] == "ok"


def test_an_outage_is_sat_out(tube, clock) -> None:
    settings = tube({n: [ANSWERS["offline"][0]] * 7 for n in range(5)})
    assert obtain("thing", settings)["status"] == "ok"


BAD = {
    "offline": "Unable to download webpage: The read operation timed out",
    "server": "Unable to download API page: HTTP Error 500: Internal Server Error",
    "refused": "This content isn't available, try again later",
    "client": "ERROR: [youtube] {}: This video is DRM protected",
    "unknown": "ERROR: [youtube] {}: Unable to recall something nobody has seen",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("bad", [0, 2, 4])
def test_one_bad_video_keeps_no_other_from_coming_and_is_settled_in_the_end(
    tube, clock, kind, bad
) -> None:
    settings = tube({bad: [BAD[kind]]})
    begun = clock.now()
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("partial", 4)
    assert status["reason"] == "4 of 5 clips are there (1 not given while others were)"
    assert clock.now() - begun < 36 * HOUR
    assert len(Recorded.asked) < 20
    assert BAD[kind][-20:] in LEDGER.read_text().splitlines()[-1]
    # Another fetch asks anew, and does not wait for another day.
    begun, asked = clock.now(), len(Recorded.asked)
    assert obtain("thing", settings) == status
    assert clock.now() - begun < 6 * HOUR
    assert 1 <= len(Recorded.asked) - asked < 8
    assert obtain("thing", tube({}))["status"] == "ok"


def test_a_witness_that_is_no_longer_given_is_not_asked_for_ever(tube, clock) -> None:
    """The first clip came; now its video is kept from yt-dlp, and another meets a limit."""
    settings = tube({3: [ANSWERS["refused"][0]]})
    Recorded.answers[NAMES[0][1:12]] = [Recorded.answers[NAMES[0][1:12]][0], BAD["client"]]
    assert obtain("thing", settings)["files"] == 4


def test_one_that_only_once_was_slow_comes_at_once(tube, clock) -> None:
    settings = tube({1: [BAD["offline"], *Recorded.answers.get("", [])]})
    begun = clock.now()
    Recorded.answers[NAMES[1][1:12]] = [BAD["offline"], *Recorded.answers[NAMES[0][1:12]]]
    assert obtain("thing", settings)["status"] == "ok"
    assert clock.now() - begun < 0.2 * HOUR


def test_the_clock_set_back_by_days_ends_no_waiting(tube, clock, monkeypatch) -> None:
    settings = tube({4: [ANSWERS["unavailable"][0]]})
    sleep = clock.sleep

    def set_back(seconds: float) -> None:
        sleep(seconds)
        if len(Recorded.asked) == 5:
            clock.jump(-10 * 24 * HOUR)

    monkeypatch.setattr(clock, "sleep", set_back)
    begun = clock.true
    assert obtain("thing", settings)["status"] == "partial"
    assert 6 * HOUR < clock.true - begun < 14 * HOUR


def test_a_youtube_that_is_closed_to_this_machine_counts_as_absent_where_that_is_said(tube) -> None:
    settings = changed(tube({n: [ANSWERS["offline"][0]] for n in range(5)}), unreachable="absent")
    FOLDER.mkdir(parents=True)
    soundfile.write(FOLDER / NAMES[0], np.zeros(441000), 44100)
    status = obtain("thing", settings)
    assert status["status"] == "partial"
    assert "no connection" in status["reason"]
    assert obtain("thing", tube({}))["status"] == "ok"


def test_a_limit_is_sat_out(tube, clock) -> None:
    refusal = ANSWERS["refused"][0]
    settings = tube({})
    for n in (0, 1):
        Recorded.answers[NAMES[n][1:12]].insert(0, refusal)
    begun = clock.now()
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("ok", 5)
    assert 2 * HOUR < clock.now() - begun < 2.1 * HOUR
    assert Recorded.asked == [NAMES[n][1:12] for n in (0, 1, 2, 0, 1, 3, 4)]


def lines(capsys) -> list[str]:
    """What the log said of how far the clips are."""
    return [told for told in capsys.readouterr().out.splitlines() if "thing: " in told]


def test_a_wall_is_told_when_it_begins_and_when_it_is_over(tube, capsys) -> None:
    settings = tube({})
    Recorded.answers[NAMES[1][1:12]].insert(0, ANSWERS["refused"][0])
    assert obtain("thing", settings)["status"] == "ok"
    begun, walled, over, done = (told.partition("thing: ")[2] for told in lines(capsys))
    assert begun == "0 of 5 clips there, 0 gone, 5 to come: about 0.0 h at YouTube's limit"
    assert walled.startswith("1 of 5 clips there, 0 gone, 1 refused, 4 to come at ")
    assert ": about 1.0 h at YouTube's limit; left alone until " in walled
    assert "left alone" not in over
    assert done == "5 of 5 clips there, 0 gone"


def test_the_time_left_counts_who_else_asks(tube, capsys, monkeypatch) -> None:
    """One of the others is as large as this, one has fewer clips to come, one was killed."""
    settings = tube({})
    folder = Path("data/full/downloads/.hosts/www.youtube.com.queue")
    for name, left in {"large": 9000, "small": 2}.items():
        arrival.Queue(folder, name).wait(left)
    write_json(folder / "dead.json", {"left": 9000, "process": "1:0"})
    found: list[dict] = []
    in_words = arrival.line

    def line(numbers: dict) -> str:
        found.append(numbers)
        return in_words(numbers)

    monkeypatch.setattr(arrival, "line", line)
    assert obtain("thing", settings)["status"] == "ok"
    assert (found[0]["sharing"], found[0]["left"]) == (3, 5)
    assert found[0]["seconds_left"] == (5 + 5 + 2) * 12
    assert "h at YouTube's limit, which 3 jobs share" in lines(capsys)[0]
    assert not (folder / "thing.json").exists()


def test_what_is_asked_for_again_hours_later_is_no_minute_away(tube, capsys) -> None:
    settings = tube({4: [ANSWERS["unavailable"][0]]})
    assert obtain("thing", settings)["status"] == "partial"
    told = lines(capsys)
    (asleep,) = [n for n, text in enumerate(told) if "is left is asked for again from" in text]
    assert "1 to come" in told[asleep - 1]
    assert "about 6.0 h at YouTube's limit" in told[asleep - 1]


def test_what_is_refused_to_the_end_of_patience_is_never_absent(tube) -> None:
    wall = {n: [ANSWERS["refused"][0]] for n in range(5)}
    settings = tube(wall)
    for _ in range(4):
        with pytest.raises(SedreproError, match="5 of 5 clips are still arriving"):
            obtain("thing", settings)
    assert len(Recorded.asked) < 4 * 75
    settings = tube({})
    assert obtain("thing", settings)["status"] == "ok"


def test_what_is_arriving_is_a_status_only_where_that_is_allowed(tube) -> None:
    settings = tube({3: [ANSWERS["client"][0]]})
    with pytest.raises(SedreproError, match="1 of 5 clips are still arriving"):
        obtain("thing", changed(settings, hold_out=12.0))
    asked = len(Recorded.asked)
    allowed = changed(settings, allow_partial=True)
    status = obtain("thing", allowed)
    assert (status["status"], status["files"]) == ("arriving", 4)
    assert "4 of 5 clips are there" in status["reason"]
    assert len(Recorded.asked) == asked


def test_an_interrupted_line_of_an_older_ledger_is_no_attempt(tube) -> None:
    settings = tube({})
    LEDGER.parent.mkdir(parents=True)
    LEDGER.write_text(f"{NAMES[0]}\tunavailable\t0.000\tgone\n")
    assert obtain("thing", settings)["status"] == "ok"


def test_a_torn_ledger_line_is_no_attempt(tube) -> None:
    settings = tube({0: [ANSWERS["removed"][0]]})
    LEDGER.parent.mkdir(parents=True)
    LEDGER.write_text(f"{NAMES[0]}\tremoved\t0.000\tYouTube\t1\tgone\n{NAMES[1]}\tremo")
    status = obtain("thing", settings)
    assert status["files"] == 4
    assert "Yvideo000000"[1:] not in Recorded.asked
    assert states()[NAMES[1]] == ["remo", "ok"]


def test_clips_put_by_hand_count(tube, tmp_path) -> None:
    settings = tube({0: [ANSWERS["removed"][0]]})
    FOLDER.mkdir(parents=True)
    soundfile.write(FOLDER / NAMES[0], np.zeros(441000), 44100)
    assert obtain("thing", settings)["status"] == "ok"
    assert len(Recorded.asked) == 4


def test_without_its_list_a_resource_is_unavailable(tube) -> None:
    settings = tube({})
    Path("data/full/raw/desed/weak.tsv").unlink()
    with pytest.raises(SedreproError, match="first `sedrepro fetch tables`"):
        obtain("thing", settings)
    write_json(Layout.of(settings).status("tables"), {"status": "unavailable"})
    status = obtain("thing", settings)
    assert status["status"] == "unavailable"
    assert "tables" in status["reason"]


def test_what_never_can_be_decoded_is_given_up(tube, tmp_path) -> None:
    settings = tube({})
    broken = tmp_path / "broken.m4a"
    broken.write_bytes(b"not a container")
    Recorded.answers[NAMES[0][1:12]] = [broken]
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("partial", 4)
    assert "1 cannot be decoded" in status["reason"]
    assert states()[NAMES[0]] == ["broken"] * 5


def test_a_youtube_that_gives_nothing_at_all_is_not_believed(tube, monkeypatch) -> None:
    monkeypatch.setattr(arrival, "STREAK", 4)
    settings = tube({n: [ANSWERS["unavailable"][0]] for n in range(5)})
    with pytest.raises(SedreproError, match="5 of 5 clips are still arriving"):
        obtain("thing", changed(settings, hold_out=24.0))


def test_a_clip_another_resource_holds_is_linked(tube) -> None:
    tube({4: [ANSWERS["removed"][0]]})
    raw = Path("data/full/raw/desed")
    lines = "\n".join(["filename", *(NAMES[n] for n in (1, 2, 4))])
    (raw / "other.tsv").write_text(f"{lines}\n")
    registry = yaml.safe_load(Path("config/datasets.yaml").read_text())
    thing = registry["resources"]["thing"]
    theirs = {"table": "other.tsv", "folder": "audio/other"}
    registry["resources"]["other"] = {**thing, "clips": theirs, "after": []}
    thing["clips"] |= {"held_by": ["other"]}
    Path("config/datasets.yaml").write_text(yaml.safe_dump(registry))
    settings = Project.model_validate({"data": {"fetch": {"hold_out": 72.0}}})
    write_json(Layout.of(settings).status("other"), obtain("other", settings))
    Recorded.asked.clear()
    status = obtain("thing", settings)
    assert Recorded.asked == [NAMES[0][1:12], NAMES[3][1:12]]
    assert status["status"] == "partial"
    assert status["reason"] == "4 of 5 clips are there (1 that another resource lacks)"
    assert (FOLDER / NAMES[1]).stat().st_ino == (raw / "audio/other" / NAMES[1]).stat().st_ino


def copies(host: Host, *numbers: int) -> None:
    """The registry gets somebody's copy of these clips, at 16 kHz."""
    for number in numbers:
        content = io.BytesIO()
        soundfile.write(content, np.zeros(160_000), 16000, format="WAV")
        host.add(f"copy/{NAMES[number]}", content.getvalue())
    registry = yaml.safe_load(Path("config/datasets.yaml").read_text())
    mirror = {"url": host.url("copy/"), "licence": "?", "trust": "none", "layout": "16 kHz"}
    registry["resources"]["thing"]["clips"]["mirror"] = mirror
    Path("config/datasets.yaml").write_text(yaml.safe_dump(registry))


def origins() -> dict[str, str]:
    """Whence each clip came, by the last line of the ledger."""
    lines = [line.split("\t") for line in LEDGER.read_text().splitlines()]
    return {line[0]: line[3] for line in lines}


def test_a_copy_stands_in_for_a_clip_that_is_gone(tube, host: Host) -> None:
    settings = tube({0: [ANSWERS["removed"][0]], 1: [ANSWERS["private"][0]]})
    copies(host, 0, 2)
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("partial", 4)
    assert status["reason"].startswith("4 of 5 clips are there (1 private); 1 come from http://")
    assert origins()[NAMES[0]].startswith("127.0.0.1")
    assert origins()[NAMES[1]].startswith("YouTube, 127.0.0.1")
    assert origins()[NAMES[2]] == "YouTube"
    assert soundfile.info(FOLDER / NAMES[0]).samplerate == 16000


@pytest.mark.parametrize(
    "faults", [[("status", 429, {"Retry-After": "30"})], [("status", 503)] * 12]
)
def test_a_copy_that_is_late_is_waited_for(tube, host: Host, clock, faults) -> None:
    settings = tube({0: [ANSWERS["removed"][0]], 1: [ANSWERS["removed"][0]]})
    copies(host, 0, 1)
    host.pages[f"copy/{NAMES[0]}"].faults = faults
    begun = clock.now()
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("ok", 5)
    assert clock.now() - begun < HOUR
    assert Recorded.asked.count(NAMES[0][1:12]) == 1


def test_a_copy_that_is_a_web_page_is_none_and_is_still_to_come(tube, host: Host) -> None:
    settings = tube({0: [ANSWERS["removed"][0]]})
    copies(host, 0)
    page = host.pages[f"copy/{NAMES[0]}"]
    sound, page.content = page.content, b"<!doctype html><html>down for an hour"
    with pytest.raises(SedreproError, match=r"1 of 5 clips are still arriving.*1 as a copy from"):
        obtain("thing", changed(settings, hold_out=6.0))
    page.content = sound
    assert obtain("thing", settings)["status"] == "ok"


def test_a_copy_is_not_asked_for_what_its_own_table_lacks(tube, host: Host) -> None:
    settings = tube({n: [ANSWERS["removed"][0]] for n in (0, 1)})
    copies(host, 0, 1)
    table = f"filename\treason\naudio/train/weak/{NAMES[0]}\tprivate video\n"
    host.add("missing.tsv", table.encode())
    registry = yaml.safe_load(Path("config/datasets.yaml").read_text())
    registry["resources"]["thing"]["clips"]["mirror"]["missing"] = host.url("missing.tsv")
    Path("config/datasets.yaml").write_text(yaml.safe_dump(registry))
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("partial", 4)
    assert host.pages[f"copy/{NAMES[0]}"].requests == []
    assert len(host.pages["missing.tsv"].requests) == 1
    assert origins()[NAMES[0]].startswith("YouTube, 127.0.0.1")


def test_a_table_of_what_is_missing_that_is_not_there_itself_is_none(tube, host: Host) -> None:
    settings = tube({0: [ANSWERS["removed"][0]]})
    copies(host, 0)
    registry = yaml.safe_load(Path("config/datasets.yaml").read_text())
    registry["resources"]["thing"]["clips"]["mirror"]["missing"] = host.url("nowhere.tsv")
    Path("config/datasets.yaml").write_text(yaml.safe_dump(registry))
    assert obtain("thing", settings)["status"] == "ok"


def test_a_copy_is_looked_for_when_it_becomes_allowed(tube, host: Host) -> None:
    settings = tube({0: [ANSWERS["removed"][0]]})
    copies(host, 0)
    assert obtain("thing", changed(settings, mirrors="none"))["status"] == "partial"
    asked = len(Recorded.asked)
    assert obtain("thing", settings)["status"] == "ok"
    assert len(Recorded.asked) == asked


def test_copies_can_spare_the_days(tube, host: Host, clock) -> None:
    settings = changed(tube({}), mirrors="all")
    copies(host, 0, 1, 2, 3)
    begun = clock.now()
    status = obtain("thing", settings)
    assert (status["status"], status["files"]) == ("ok", 5)
    assert status["reason"].startswith("5 of 5 clips are there; 4 come from http://")
    assert Recorded.asked == [NAMES[4][1:12]]
    assert clock.now() - begun < 60
