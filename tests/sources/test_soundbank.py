"""The sound bank comes in archives of three projects and is mixed from one folder per split."""

from __future__ import annotations

from pathlib import Path

from loopback import Host, tarred, zipped

from sedrepro.sources import soundbank
from sedrepro.sources.fetch import obtain

BANK = Path("data/full/raw/desed_soundbank")
SINS = "DCASE2018-task5-dev"
TUT = "TUT-acoustic-scenes-2017-development"
FORE = "soundbank/foreground/Dog"
BACK = "soundbank/background"


def bank(host: Host) -> dict:
    def archive(name: str, content: bytes) -> dict:
        return {"name": name, "urls": [host.add(name, content)], "unpack": "original"}

    sounds = {f"audio/train/{FORE}/{n}.wav": b"dog%d" % n for n in range(3)}
    sounds |= {f"audio/eval/{FORE}/9.wav": b"dog9"}
    sins = {f"{SINS}/audio/{n}.wav": b"sins%d" % n for n in range(4)}
    labels = ["other", "cooking", "other", "other"]
    sins[f"{SINS}/meta.txt"] = "".join(
        f"audio/{n}.wav\t{label}\tsession\n" for n, label in enumerate([*labels, "other"])
    ).encode()
    tut = {f"{TUT}/audio/{n}.wav": f"tut{n}".encode() for n in "ab"}
    tut[f"{TUT}/meta.txt"] = b"audio/a.wav\tbus\tx\naudio/b.wav\thome\tx\n"
    held = f"filepath\naudio/validation/{FORE}/1.wav\naudio/validation/{BACK}/sins/2.wav\n"
    listed = {"name": "list.tsv", "urls": [host.add("list", held.encode())]}
    files = [
        archive("bank.tar.gz", tarred(sounds)),
        archive("sins.zip", zipped(sins)),
        archive("tut.zip", zipped(tut)),
        {**listed, "place": "original/soundbank_validation.tsv"},
    ]
    return {"thing": {"corpus": "desed_soundbank", "files": files}}


EXPECTED = {
    f"audio/train/{FORE}/0.wav": b"dog0",
    f"audio/validation/{FORE}/1.wav": b"dog1",
    f"audio/train/{FORE}/2.wav": b"dog2",
    f"audio/eval/{FORE}/9.wav": b"dog9",
    f"audio/train/{BACK}/sins/0.wav": b"sins0",
    f"audio/validation/{BACK}/sins/2.wav": b"sins2",
    f"audio/train/{BACK}/sins/3.wav": b"sins3",
    f"audio/train/{BACK}/tut-scenes-2017-dev/b.wav": b"tutb",
}


def arranged() -> dict[str, bytes]:
    found = (BANK / "audio").rglob("*.wav")
    return {path.relative_to(BANK).as_posix(): path.read_bytes() for path in found}


def test_one_folder_per_split(host: Host, project, monkeypatch) -> None:
    monkeypatch.setattr(soundbank, "SINS", 3)
    settings = project(bank(host))
    status = obtain("thing", settings)
    assert status["status"] == "ok"
    assert arranged() == EXPECTED
    assert obtain("thing", settings) == status
    assert arranged() == EXPECTED
    assert all(len(page.requests) == 1 for page in host.pages.values())


def test_a_missing_background_corpus_leaves_the_rest(host: Host, project) -> None:
    resources = bank(host)
    del host.pages["sins.zip"]
    status = obtain("thing", project(resources))
    assert status["status"] == "partial"
    assert "0 of 2,060 backgrounds of SINS are there" in status["reason"]
    assert arranged() == {name: held for name, held in EXPECTED.items() if "/sins/" not in name}
