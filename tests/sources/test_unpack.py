"""Archives that lie, break or climb out of their folder."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from loopback import noise, tarred, zipped

from sedrepro.errors import SedreproError
from sedrepro.sources import http
from sedrepro.sources.unpack import ArchiveError, unpack

FILES = {f"top/{folder}/{n}.wav": noise(2000, n) for n, folder in enumerate("aabbc")}


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


MAKERS = {
    "a.zip": zipped,
    "a.tar": lambda files: tarred(files, "w:"),
    "a.tar.gz": tarred,
    "a.tar.bz2": lambda files: tarred(files, "w:bz2"),
    "a.tar.xz": lambda files: tarred(files, "w:xz"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_in_comes_out(tmp_path: Path, name: str) -> None:
    archive = put(tmp_path, name, MAKERS[name](FILES))
    found = unpack(archive, tmp_path / "raw")
    assert everything(tmp_path / "raw") == FILES
    assert found == {name: len(content) for name, content in FILES.items()}


@pytest.mark.parametrize("name", MAKERS)
def test_every_truncation_is_noticed(tmp_path: Path, name: str) -> None:
    whole = MAKERS[name](FILES)
    content_end = 12_800 if name == "a.tar" else len(whole)  # a tar is padded with zeros
    for length in range(1, content_end, content_end // 23):
        archive = put(tmp_path, name, whole[:length])
        with pytest.raises(ArchiveError):
            unpack(archive, tmp_path / "raw")
    assert sorted(p.name for p in tmp_path.iterdir()) in ([name], [name, "raw"])
    assert not everything(tmp_path / "raw")


def test_a_tar_cut_between_two_members_is_truncated(tmp_path: Path) -> None:
    content = tarred(FILES, "w:")
    archive = put(tmp_path, "a.tar", content[: 512 + 2048])  # exactly the first member
    with pytest.raises(ArchiveError, match="its end is missing"):
        unpack(archive, tmp_path / "raw")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_flipped_byte_is_noticed(tmp_path: Path, name: str) -> None:
    content = bytearray(MAKERS[name](FILES))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(put(tmp_path, name, bytes(content)), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\..\\x", "C:/x"])
@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_names_that_point_outside_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    archive = put(folder, kind, MAKERS[kind]({"good.wav": b"1", name: b"2"}))
    with pytest.raises(ArchiveError, match="outside"):
        unpack(archive, folder / "raw")
    assert list(everything(tmp_path)) == [f"deep/er/{kind}"]


def linked(kind: bytes, target: str = "/etc/passwd") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("link")
        info.type = kind
        info.linkname = target
        archive.addfile(info)
        inside = tarfile.TarInfo("link/inside")
        inside.size = 1
        archive.addfile(inside, io.BytesIO(b"x"))
    return out.getvalue()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="link or a device"):
        unpack(put(tmp_path, "a.tar.gz", linked(kind)), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link or a device"):
        unpack(put(tmp_path, "a.zip", out.getvalue()), tmp_path / "raw")


def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path) -> None:
    archive = put(tmp_path, "a.zip", zipped({"a": b"1", "a/b": b"2"}))
    with pytest.raises(ArchiveError, match="both file and folder"):
        unpack(archive, tmp_path / "raw")


def test_neither_zip_nor_tar_nor_empty(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="neither a zip nor a tar"):
        unpack(put(tmp_path, "a.zip", b"<html>"), tmp_path / "raw")
    with pytest.raises(ArchiveError, match="holds no file"):
        unpack(put(tmp_path, "a.zip", zipped({})), tmp_path / "raw")


def test_folders_above_the_anchor_are_left_out(tmp_path: Path) -> None:
    files = {"x/y/audio/1.wav": b"1", "x/y/metadata/deep/audio/2": b"2", "x/licence": b"3"}
    for number, depth in enumerate(("x/y/", "y/", "")):
        shifted = {name.replace("x/y/", depth): content for name, content in files.items()}
        archive = put(tmp_path, "a.zip", zipped(shifted))
        unpack(archive, tmp_path / f"raw{number}", ["audio", "metadata"])
        got = everything(tmp_path / f"raw{number}")
        assert got["audio/1.wav"] == b"1"
        assert got["metadata/deep/audio/2"] == b"2"
    with pytest.raises(ArchiveError, match="another layout: no sound in it"):
        unpack(archive, tmp_path / "raw9", ["sound"])
    assert not (tmp_path / "raw9").exists()


def test_archives_merge_into_one_folder(tmp_path: Path) -> None:
    unpack(
        put(tmp_path, "1.zip", zipped({"set/audio/1": b"1", "set/meta": b"old"})), tmp_path / "r"
    )
    unpack(
        put(tmp_path, "2.zip", zipped({"set/audio/2": b"2", "set/meta": b"new"})), tmp_path / "r"
    )
    assert everything(tmp_path / "r") == {
        "set/audio/1": b"1",
        "set/audio/2": b"2",
        "set/meta": b"new",
    }


def test_an_archive_of_the_same_folder_may_come_in_between(tmp_path: Path, monkeypatch) -> None:
    """Two archives are unpacked at once, and both are the first to bring their folder."""
    put(tmp_path, "a.zip", zipped({"top/a.wav": b"a"}))
    replace = os.replace

    def late(source, target):
        if Path(target) == tmp_path / "out/top" and not Path(target).exists():
            (tmp_path / "out/top").mkdir(parents=True)
            (tmp_path / "out/top/b.wav").write_bytes(b"b")
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    unpack(tmp_path / "a.zip", tmp_path / "out", ["top"])
    assert everything(tmp_path / "out") == {"top/a.wav": b"a", "top/b.wav": b"b"}


def test_an_archive_larger_than_the_disk_is_refused_at_once(tmp_path: Path, monkeypatch) -> None:
    archive = put(tmp_path, "a.zip", zipped({"zeros": bytes(30_000_000)}))
    usage = type("Usage", (), {"free": 80_000_000})
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SedreproError, match="GB are needed"):
        unpack(archive, tmp_path / "raw")
    assert not everything(tmp_path / "raw")


def test_permissions_of_an_archive_do_not_matter(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as opened:
        info = tarfile.TarInfo("a")
        info.size = 1
        info.mode = 0o4000
        opened.addfile(info, io.BytesIO(b"x"))
    unpack(put(tmp_path, "a.tar.gz", out.getvalue()), tmp_path / "raw")
    mode = (tmp_path / "raw/a").stat().st_mode
    assert mode & stat.S_IRUSR
    assert not mode & stat.S_ISUID
