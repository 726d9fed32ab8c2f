"""yt-dlp as it is called: ours and another installation's, with cookies, with and without deno."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yt_dlp

from sedrepro.errors import SedreproError
from sedrepro.settings.data import Fetch
from sedrepro.sources import policies, ytdlp
from sedrepro.sources.policies import YOUTUBE, YOUTUBE_ACCOUNT
from sedrepro.sources.session import Session

VIDEO = "00pbt6aJV8Y"


def program(folder: Path, code: str) -> Path:
    """Another interpreter, whose yt-dlp is this code."""
    package = folder / "yt_dlp"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"{VERSION}{code}")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return script


VERSION = """
import sys
if "--version" in sys.argv:
    sys.exit(print("2026.01.01"))
"""
DELIVERS = """
import pathlib, sys
words = sys.argv[1:]
pathlib.Path(words[words.index("--output") + 1].replace("%(ext)s", "m4a")).write_text(repr(words))
print(19)
"""


def test_another_installation_is_asked_by_its_interpreter(tmp_path: Path) -> None:
    other = program(tmp_path / "other", DELIVERS)
    cookies = tmp_path / "cookies.txt"
    cookies.touch()
    player = ytdlp.player(Fetch(yt_dlp=str(other), cookies=str(cookies)))
    folder = tmp_path / "clip"
    folder.mkdir()
    recording, length = player.fetch(VIDEO, folder)
    assert (recording.name, length) == ("audio.m4a", 19.0)
    words = recording.read_text()
    assert f"https://www.youtube.com/watch?v={VIDEO}" in words
    assert str(cookies) in words


def test_what_another_installation_says_is_told_apart_as_well(tmp_path: Path) -> None:
    said = "ERROR: [youtube] x: Private video. Sign in if you've been granted access"
    other = program(tmp_path, f"import sys; sys.exit({said!r})")
    with pytest.raises(LookupError) as caught:
        ytdlp.player(Fetch(yt_dlp=str(other))).fetch(VIDEO, tmp_path)
    assert ytdlp.classify(str(caught.value)) == "private"


def test_an_interpreter_that_cannot_be_used_is_said_before_the_first_video(tmp_path: Path) -> None:
    with pytest.raises(SedreproError, match=r"data\.fetch\.yt_dlp: .*nowhere: No such file"):
        ytdlp.player(Fetch(yt_dlp=str(tmp_path / "nowhere")))
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    script.chmod(0o755)
    with pytest.raises(SedreproError, match=r"no yt-dlp that runs .*No module named yt_dlp"):
        ytdlp.player(Fetch(yt_dlp=str(script)))


@pytest.mark.parametrize("cookies", ["firefx", "/nowhere/cookies.txt"])
def test_cookies_that_are_nowhere_are_said_before_the_first_video(cookies: str) -> None:
    with pytest.raises(SedreproError, match=f"data.fetch.cookies: {cookies}: no such file"):
        ytdlp.player(Fetch(cookies=cookies))


def test_warnings_of_another_installation_reach_the_log_once(tmp_path: Path, capsys) -> None:
    warns = "print('WARNING: some formats may be missing', file=sys.stderr)"
    other = ytdlp.player(Fetch(yt_dlp=str(program(tmp_path / "other", f"{DELIVERS}{warns}"))))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        other.fetch(VIDEO, tmp_path / name)
    assert capsys.readouterr().out.count("some formats may be missing") == 1


def test_a_missing_javascript_runtime_is_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(ytdlp, "runtime", lambda _: None)
    assert not ytdlp.player(Fetch()).scripted
    (line,) = capsys.readouterr().out.splitlines()
    assert "no JavaScript runtime (deno)" in line
    monkeypatch.setattr(ytdlp, "runtime", lambda _: "/bin/deno")
    assert ytdlp.player(Fetch()).scripted
    assert capsys.readouterr().out == ""


def test_the_runtime_beside_the_interpreter_is_found(tmp_path: Path) -> None:
    (tmp_path / "deno").touch()
    assert ytdlp.runtime(tmp_path) == str(tmp_path / "deno")


@pytest.mark.parametrize(
    ("cookies", "key", "value"),
    [("firefox", "cookiesfrombrowser", ("firefox",)), ("mine.txt", "cookiefile", "mine.txt")],
)
def test_options_and_warnings_reach_the_real_yt_dlp(
    tmp_path: Path, monkeypatch, capsys, cookies, key, value
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("# Netscape HTTP Cookie File\n")
    asked = {}

    class Downloader(yt_dlp.YoutubeDL):
        def __init__(self, options: dict) -> None:
            asked.update(options)
            # A browser's own cookies are not here to be read.
            super().__init__({k: v for k, v in options.items() if k != "cookiesfrombrowser"})

        def extract_info(self, url: str, download: bool) -> dict:
            for video in ("aaaaaaaaaaa", "bbbbbbbbbbb"):
                self.report_warning(f"[youtube] {video}: some formats may be missing")
            raise yt_dlp.utils.DownloadError("ERROR: [youtube] x: Video unavailable")

    monkeypatch.setattr(yt_dlp, "YoutubeDL", Downloader)
    with pytest.raises(LookupError, match="Video unavailable"):
        ytdlp.Library(Fetch(cookies=cookies)).fetch(VIDEO, tmp_path)
    assert asked[key] == value
    assert capsys.readouterr().out.count("some formats may be missing") == 1


def test_an_account_may_ask_for_more(tmp_path: Path) -> None:
    def policy(**settings) -> policies.Policy:
        return Session(Fetch(**settings), tmp_path).gate(ytdlp.HOST).policy

    assert policy() is YOUTUBE
    assert policy(cookies="firefox") is YOUTUBE_ACCOUNT
    assert round(YOUTUBE_ACCOUNT.hours(19_067)) == 56
    assert YOUTUBE_ACCOUNT.hours(19_067) < YOUTUBE.hours(19_067)
