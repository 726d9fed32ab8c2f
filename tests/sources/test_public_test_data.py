"""`make test-data`: public files, fetched from their registry and laid out for the tests."""

from __future__ import annotations

import importlib.util
import io
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from loopback import Host

from sedrepro.sources import registry

NAMES = {
    "desed_metadata": {
        "weak.tsv": "metadata/train/weak.tsv",
        "unlabel_in_domain.tsv": "metadata/train/unlabel_in_domain.tsv",
        "validation.tsv": "metadata/validation/validation.tsv",
    },
    "dcase2021_detections": {
        "validation.tsv": "dcase2021/validation.tsv",
        "student_predictions0.5.csv": "dcase2021/student/predictions0.5.csv",
        "student_predictions_th_0.01.tsv": "dcase2021/student/points/predictions_th_0.01.tsv",
        "teacher_predictions0.5.csv": "dcase2021/teacher/predictions0.5.csv",
    },
    "maestro_durations": {
        name: f"metadata/{name}" for name in ("development_metadata.csv", "gt_dev.csv")
    },
    "ave_annotations": {"Annotations.txt": "data/Annotations.txt"},
    "ave_orders": {
        f"{part}_order.h5": f"data/{part}_order.h5" for part in ("train", "val", "test")
    },
}
ZIPS = {
    "fsdkaggle2018": ("FSDKaggle2018.meta", "train_post_competition.csv"),
    "tau2019": ("TAU-urban-acoustic-scenes-2019-development", "meta.csv"),
}
CORPORA = {"desed_metadata": "desed", "dcase2021_detections": "released"} | {
    "maestro_durations": "maestro",
    "fsdkaggle2018": "fsdkaggle2018",
    "tau2019": "tau2019",
}


@pytest.fixture(scope="module")
def tool(root):
    spec = importlib.util.spec_from_file_location("public_data", root / "tools/test_data.py")
    module = sys.modules["public_data"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zipped(folder: str, name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{folder}/{name}", f"what {name} holds")
    return content.getvalue()


@pytest.fixture
def offered(host: Host, project) -> Host:
    """A registry of the same names, whose host has all of it."""
    resources = {}
    for resource, files in NAMES.items():
        listed = [
            {
                "name": name,
                "urls": [host.add(f"{resource}/{name}", f"what {name} holds".encode())],
                "place": place,
            }
            for name, place in files.items()
        ]
        resources[resource] = {"files": listed}
    for resource, (folder, name) in ZIPS.items():
        archive = {"fsdkaggle2018": folder, "tau2019": f"{folder}.meta"}[resource] + ".zip"
        url = host.add(archive, zipped(folder, name))
        resources[resource] = {"files": [{"name": archive, "urls": [url], "unpack": "."}]}
    for resource, entry in resources.items():
        entry["corpus"] = CORPORA.get(resource, "ave")
    project(resources)
    return host


def test_what_is_public_lies_where_tests_look_for_it(tool, offered, root, acceptance) -> None:
    assert tool.main(Path("here")) == 0
    for name in tool.PIECES:
        assert (Path("here") / name).exists()
        assert (acceptance / name).exists()
    with tarfile.open("here/desed-operating-points/student.tar.xz") as archive:
        assert sorted(archive.getnames()) == [
            "points/predictions_th_0.01.tsv",
            "predictions0.5.csv",
            "validation.tsv",
        ]
    with tarfile.open("here/desed-tables/metadata.tar.xz") as archive:
        assert archive.extractfile("train/weak.tsv").read() == b"what weak.tsv holds"
    with lzma.open("here/snr-mix/tau2019_meta.csv.xz") as handle:
        assert handle.read() == b"what meta.csv holds"
    asked = sum(len(page.requests) for page in offered.pages.values())
    assert tool.main(Path("here")) == 0
    assert sum(len(page.requests) for page in offered.pages.values()) == asked


def test_what_cannot_be_had_is_named_and_the_rest_made(tool, offered, capsys) -> None:
    del offered.pages["maestro_durations/gt_dev.csv"]
    assert tool.main(Path("here")) == 1
    printed = capsys.readouterr()
    assert "error: maestro/gt_dev.csv.xz: gt_dev.csv" in printed.err
    assert "9 of 10 files are in here" in printed.out


def test_the_registry_has_every_file_the_tool_asks_for(tool, root) -> None:
    known = registry.load(root)
    for name, piece in tool.PIECES.items():
        files = [f.name for f in known[piece.resource].files if f.name.startswith(piece.files)]
        assert len(files) >= len(piece.files), name
