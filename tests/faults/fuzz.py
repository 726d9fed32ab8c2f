"""Every door through which foreign bytes come in, and bytes that are damaged or up to no good.

    python tests/faults/fuzz.py FOLDER ROUNDS

Prints a JSON object: how many inputs each door was given, and how many it refused. It runs as a
process of its own, so that a crash is seen, memory can be limited and what it does watched: any
program it starts, and any file it opens for writing outside FOLDER, is a failure.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import shutil
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import soundfile
import torch
from checkpoints import calls, sound

from sedrepro import audio, tables
from sedrepro.clips import COLUMNS, read_clips
from sedrepro.errors import SedreproError
from sedrepro.metrics.resamples import Draws, Resamples
from sedrepro.networks.weights import load_checkpoint
from sedrepro.settings import read_yaml
from sedrepro.sources import ave, fsdkaggle2018, scenes, video
from sedrepro.sources.unpack import ArchiveError, unpack
from sedrepro.store import Store, writing

REFUSED = (SedreproError, ArchiveError)
HEADER = "\t".join(COLUMNS) + "\n"
"""Of `clips.tsv`."""
MORE = 8
"""Pickles are read fast, and damaged in more ways than other files."""
MEMORY = 3 << 30
"""Bytes of address space beyond what the program has when it starts."""


class Payload:
    """Unpickled, it would leave a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.canary}'",)


# --- whole inputs, one per kind of file ----------------------------------------------------------


def whole(folder: Path) -> dict[str, bytes]:
    """A valid file of every kind, small."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(1)
    values = draw.normal(size=(3, 4, 5)).astype("float16")
    with writing(folder / "a.h5", shape=(4, 5), dtype="float16", attributes={"a": 1}) as store:
        for index, value in enumerate(values):
            store.add(f"clip{index}", 1.0, value)
    with h5py.File(folder / "order.h5", "w") as file:
        file["order"] = np.arange(5)
    state = {"networks": {"a": {"weight": torch.zeros(3, 4)}}, "epoch": 3}
    torch.save(state, folder / "a.pt")
    rows = {("set", "student", "f1", "ours", ""): np.zeros(4)}
    kept = Draws(rows, {"set": "key"}, {"set": 9})
    kept.write(folder / "a.npz")
    samples = (0.1 * draw.normal(size=4000)).clip(-1, 1)
    soundfile.write(folder / "a.wav", samples, 8000)
    soundfile.write(folder / "a.ogg", samples, 8000)
    soundfile.write(folder / "a.flac", samples, 8000)
    pictures = draw.integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)
    video.write(folder / "a.mp4", pictures, 5, samples.astype("float32"), 8000)
    texts = {
        "a.yaml": "a: &x {b: [1, 2.5, null]}\nc: *x\nd: 'text'\n",
        "clips.tsv": HEADER + "ä1\tweak\t10.0\t\ta/b.wav\t\t\t\n",
        "events.tsv": "clip\tlabel\tonset\toffset\tconfidence\na\tDog\t0.5\t2.25\t1.0\n"
        + "b\tCat\t\t\t1.0\n",
        "train.csv": "fname,label,manually_verified\na.wav,Bark,1\nb.wav,Bus,0\n",
        "meta.csv": "filename\tscene_label\naudio/a.wav\tbus\n",
        "annotations.txt": "Category&VideoID&Quality&StartTime&EndTime\nBark&abc&good&0&3\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = {"top/a.wav": os.urandom(300), "top/b/c.txt": b"text" * 200}
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    for mode in ("", "gz", "bz2", "xz"):
        with tarfile.open(folder / f"a.tar{mode and '.' + mode}", f"w:{mode}") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    for name, content in sound().items():
        (folder / name).write_bytes(content)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- inputs that are up to no good ---------------------------------------------------------------


def hostile(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Files made to execute something, to write elsewhere, or to fill memory or the disk."""
    payload = pickle.dumps(Payload(canary))
    yield "a.pt", payload
    out = io.BytesIO()
    torch.save({"networks": Payload(canary)}, out)
    yield "a.pt", out.getvalue()
    for _, program in calls(canary):
        yield "a.pt", program
    out = io.BytesIO()
    np.savez(out, about=np.array([Payload(canary)], dtype=object), values=np.zeros((0, 0)))
    yield "a.npz", out.getvalue()
    yield "a.yaml", f"!!python/object/apply:os.system ['touch {canary}']\n".encode()
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    yield "a.yaml", "\n".join(lines).encode()
    yield "a.yaml", b"[" * 100_000
    yield "a.yaml", b"a: " + b"9" * 10_000
    yield "a.yaml", b"? {a: b}\n: c\n"
    yield "a.yaml", b"a: 2001-99-99\n"
    for name in ("../out", "/tmp/sedrepro-fuzz-out", "a/../../out", "..\\out"):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(name, b"x")
        yield "a.zip", out.getvalue()
        yield "a.tar", _tar(name)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        yield "a.tar", _tar("link", kind)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    yield "a.zip", out.getvalue()
    yield "a.wav", b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\xff\xff\x40\x1f\0\0" + b"\xff" * 60
    yield "clips.tsv", HEADER.encode() + b"\t" * 100_000
    yield "clips.tsv", HEADER.encode() + b'"' + b"a" * 100_000
    yield "events.tsv", b"clip\tlabel\tonset\toffset\tconfidence\na\tDog\t1e999\tnan\tx\n"


def _tar(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = "/etc/passwd"
        archive.addfile(info, io.BytesIO())
    return out.getvalue()


# --- damage --------------------------------------------------------------------------------------


def damaged(content: bytes, draw: random.Random) -> bytes:
    """One to three accidents: bits and bytes that changed, parts that lack, moved or came in."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(data) + 1)
        length = draw.choice((1, 2, 4, 8, 64, 512))
        accident = draw.randrange(7)
        if accident == 0 and data:
            data[place % len(data)] ^= 1 << draw.randrange(8)
        elif accident == 1:
            del data[place:]
        elif accident == 2:
            del data[place : place + length]
        elif accident == 3:
            data[place:place] = draw.randbytes(length)
        elif accident == 4:
            data[place : place + length] = draw.choice((b"\0", b"\xff", b"\x7f")) * length
        elif accident == 5:
            data[place:place] = data[place : place + length]
        else:
            data[place : place + length] = draw.randbytes(length)
    return bytes(data)


def damaged_inside(content: bytes, draw: random.Random) -> bytes:
    """A checkpoint whose program is damaged and whose archive is whole: no checksum tells."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            record = old.read(name)
            new.writestr(name, damaged(record, draw) if name.endswith("data.pkl") else record)
    return out.getvalue()


# --- doors ---------------------------------------------------------------------------------------


def doors(out: Path) -> dict[str, list[Callable[[Path], object]]]:
    """Who reads which file."""

    def archive(path: Path) -> None:
        unpack(path, out / "raw")

    def store(path: Path) -> None:
        opened = Store(path)
        opened.read()
        opened.verify()

    sounds = [lambda path: audio.read(path, 16000), audio.seconds]
    videos = [
        lambda path: video.pictures(path, [0.5], 16),
        lambda path: video.sound(path, 8000, 4000),
        video.seconds,
    ]
    return {
        **{f"a.{kind}": [archive] for kind in ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")},
        "a.h5": [store],
        "order.h5": [lambda path: ave.order(path, 5)],
        "a.pt": [load_checkpoint],
        **{name: [load_checkpoint] for name in sound()},
        "a.npz": [Resamples],
        **{f"a.{kind}": sounds for kind in ("wav", "ogg", "flac")},
        "a.mp4": videos,
        "a.yaml": [read_yaml],
        "clips.tsv": [read_clips],
        "events.tsv": [lambda path: tables.read_events(path, ["Dog", "Cat"])],
        "train.csv": [fsdkaggle2018.read_table],
        "meta.csv": [scenes.read_table],
        "annotations.txt": [lambda path: ave.read_annotations(path, ["Bark"])],
    }


def watch(folder: Path) -> list[str]:
    """Note every program started, and every file written outside the folder, from now on."""
    seen: list[str] = []
    inside = (str(folder), "/dev/null")

    def hook(event: str, arguments: tuple) -> None:
        if event in (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "socket.connect",
        ):
            seen.append(f"{event} {arguments!r}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path, flags = os.path.abspath(os.fsdecode(arguments[0])), arguments[2] or 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not path.startswith(inside):
                seen.append(f"open {path}")
        elif event in ("os.rename", "os.link", "os.symlink", "os.mkdir"):
            target = arguments[0 if event == "os.mkdir" else 1]
            if not os.path.abspath(os.fsdecode(target)).startswith(inside):
                seen.append(f"{event} {target}")

    sys.addaudithook(hook)
    return seen


def main(folder: Path, rounds: int) -> dict:
    originals = whole(folder / "whole")
    canary = folder / "executed"
    cases = [*originals.items(), *hostile(canary)]
    draw = random.Random(20240601)
    cases += [(n, damaged(c, draw)) for _ in range(rounds) for n, c in originals.items()]
    for _ in range(MORE * rounds):
        cases += [(name, damaged(content, draw)) for name, content in sound().items()]
        cases.append(("new.pt", damaged_inside(originals["new.pt"], draw)))
    open_to = doors(folder / "out")
    counts = {name: {"inputs": 0, "refused": 0} for name in open_to}
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    seen = watch(folder)
    problems: list[str] = []
    for number, (name, content) in enumerate(cases):
        path = folder / f"in/{number}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        (folder / "last").write_text(str(path))  # what a crash leaves to look at
        for read in open_to[name]:
            counts[name]["inputs"] += 1
            try:
                read(path)
            except REFUSED as error:
                counts[name]["refused"] += 1
                if "\n" in str(error) or not str(error):
                    problems.append(f"{path}: not one line: {str(error)!r}")
            except BaseException as error:
                problems.append(f"{path}: {type(error).__name__}: {error}"[:500])
            else:
                if number < len(originals):
                    continue
            if number < len(originals):
                problems.append(f"{path}: a whole file is refused")
        if not any(problem.startswith(str(path)) for problem in problems):
            shutil.rmtree(path.parent)
    strangers = {*(p.name for p in folder.iterdir())} - {"whole", "in", "out", "last"}
    raw = [str(p) for p in folder.rglob("*") if p.is_symlink()]
    problems += [f"left behind: {path}" for path in [*sorted(strangers), *raw]]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"counts": counts, "problems": problems + seen, "peak_mb": peak}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))))
