"""The registry: typed, light, and true to what is known of the real files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sedrepro import settings
from sedrepro.errors import SedreproError
from sedrepro.papers import PAPERS, settings_models
from sedrepro.pipeline.downloads import needs
from sedrepro.sources import policies, registry
from sedrepro.sources.verify import measure

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def known() -> registry.Registry:
    return registry.load(Path(__file__).resolve().parents[2])


def test_importing_it_is_light(root: Path) -> None:
    heavy = ("torch", "numpy", "h5py", "pandas", "requests", "av", "yt_dlp", "gdown")
    code = (
        "import sys\n"
        "from sedrepro.sources import registry\n"
        f"registry.load({str(root)!r})\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_archives_add_up_to_the_published_totals(known) -> None:
    totals = {name: sum(f.bytes or 0 for f in known[name].files) for name in ("tau2019", "tut2018")}
    assert totals == {"tau2019": 35_622_537_482, "tut2018": 21_353_171_682}
    assert {name: len(known[name].files) for name in totals} == {"tau2019": 23, "tut2018": 15}
    assert all(f.md5 for name in totals for f in known[name].files)
    bank = [f for f in known["desed_soundbank"].files if f.md5]
    assert len([f for f in bank if f.name.startswith("DCASE2018-task5-dev.audio.")]) == 23
    assert len([f for f in bank if "scenes-2017-development.audio." in f.name]) == 10


def test_expected_clips(known) -> None:
    clips = {
        s: n for r in known.resources.values() if r.corpus == "desed" for s, n in r.subsets.items()
    }
    assert clips == {
        "weak": 1578,
        "unlabelled": 14412,
        "validation": 1168,
        "public_eval": 692,
        "strong_real": 3470,
        "synth_train": 10000,
        "synth_validation": 2500,
    }
    assert sum(known["maestro_audio"].subsets.values()) == 49


@pytest.mark.parametrize(
    ("folder", "resources"),
    [("ave", ("ave_annotations", "ave_orders")), ("maestro", ("maestro_durations",))],
)
def test_checksums_of_files_that_are_here(known, acceptance: Path, folder, resources) -> None:
    checked = 0
    for file in (f for name in resources for f in known[name].files):
        path = acceptance / folder / file.name
        if path.exists():
            measured = measure(path)
            assert measured["md5"] == file.md5
            assert file.bytes in (None, measured["bytes"])
            checked += 1
    assert checked == {"ave": 4, "maestro": 1}[folder]


def test_checksums_of_the_desed_tables(known, acceptance: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(acceptance / "desed-tables" / "metadata.tar.xz") as archive:
        archive.extractall(tmp_path)
    here = {path.name: path for path in tmp_path.rglob("*.tsv")}
    for file in known["desed_metadata"].files:
        measured = measure(here[file.name])
        assert (measured["bytes"], measured["md5"]) == (file.bytes, file.md5)


def test_what_a_paper_needs_follows_from_its_rows(known) -> None:
    def needed(*names: str, **data) -> set[str]:
        every_row = {name: {"rows": "all"} for name in names}
        overlay = {"run": list(names), "papers": every_row, "data": data}
        project = settings.load(overlay, papers=settings_models(), root=ROOT)
        return set(needs(project, settings_models(), known))

    desed = {"desed_metadata", "desed_weak", "desed_unlabelled", "desed_validation"}
    lgc = needed("lgc_sed")
    assert lgc == {*desed, "desed_public_eval", "desed_synth", "desed_strong_real"}
    assert needed("weak_mtl") == {"fsdkaggle2018", "tau2019"}
    everything = needed(*PAPERS)
    assert "tut2018" not in everything
    assert {"beats", "atst_frame", "maestro_audio", "ave_visual_features"} <= everything
    videos = {"audioclip", "ave_videos", "ave_negatives"}
    assert not videos & everything
    mixed = needed("lgc_sed", desed={"synthetic": "mix"})
    assert mixed - lgc == {"desed_soundbank"}
    assert "desed_synth" not in mixed


def test_every_resource_can_be_had_somehow_and_says_what_its_loss_means(known) -> None:
    for name, resource in known.resources.items():
        assert resource.loss or resource.optional, name
        if resource.kind == "manual":
            assert resource.help, name
        for file in resource.files:
            assert file.unpack or file.place, (name, file.name)
    kinds = {resource.kind for resource in known.resources.values()}
    assert kinds == {"http", "drive", "youtube", "manual"}


def test_what_is_in_two_sets_is_asked_for_once(known) -> None:
    sets = [known[name] for name in known.resources if known[name].clips]
    asked = [r.clips.asked or sum(r.subsets.values()) for r in sets]
    assert sum(sum(r.subsets.values()) for r in sets) == 20_628
    assert sum(asked) == 19_067
    assert known["desed_strong_real"].clips.held_by == [
        "desed_weak",
        "desed_unlabelled",
        "desed_validation",
    ]


def test_every_copy_by_others_says_whose_it_is(known) -> None:
    files = [file for resource in known.resources.values() for file in resource.files]
    copies = [(file.verifiable, mirror) for file in files for mirror in file.mirrors]
    copies += [(True, r.clips.mirror) for r in known.resources.values() if r.clips]
    copies = [(verifiable, mirror) for verifiable, mirror in copies if mirror]
    assert len(copies) == 6
    for verifiable, mirror in copies:
        assert verifiable or not mirror.same
        assert mirror.licence
        assert mirror.trust
        assert mirror.layout


def test_no_two_files_have_one_place(known) -> None:
    places = [(r.corpus, f.place) for r in known.resources.values() for f in r.files if f.place]
    assert len(places) == len(set(places))


OF = {"licence": "?", "trust": "none"}
BAD = {
    "is no setting": {"when": {"desed.synthesis": "mix"}},
    "which is no resource": {"after": ["nothing"]},
    "same name": {"files": [{"name": "a"}, {"name": "a"}]},
    "needs `bytes` or": {"files": [{"name": "a", "about": None}]},
    "127.0.0.2 has no policy": {"files": [{"name": "a", "urls": ["http://127.0.0.2/a"]}]},
    "not neither": {"files": [{"name": "a", "place": None, "unpack": None}]},
    "resources.thing.licence": {"licence": ""},
    "clips need `subsets`": {"clips": {"table": "t.tsv", "folder": "a"}, "subsets": {}},
    "below the raw tree": {"files": [{"name": "a", "place": "../a"}]},
    "resources.thing.corpus": {"corpus": "dased"},
    "resources.thing.files.0.md5": {"files": [{"name": "a", "md5": "xyz"}]},
    "Extra inputs": {"file": []},
    "needs `files` or `clips`": {"files": []},
    "needs a checksum": {
        "files": [
            {
                "name": "a",
                "mirrors": [{"url": "https://zenodo.org/a", "layout": "the same bytes", **OF}],
            }
        ]
    },
    "resources.thing.files.0.mirrors.0.layout": {
        "files": [{"name": "a", "mirrors": [{"url": "https://zenodo.org/a", **OF}]}]
    },
    "which is no resource with clips": {
        "clips": {"table": "t.tsv", "folder": "a", "held_by": ["other"]}
    },
    "either `unpack` or `place`": {"files": [{"name": "a", "place": "a", "unpack": "."}]},
}


@pytest.mark.parametrize("message", BAD)
def test_mistakes_are_one_clear_line(project, message: str) -> None:
    project({"thing": {"files": [{"name": "a"}], **BAD[message]}})
    with pytest.raises(SedreproError) as caught:
        registry.load()
    assert message in str(caught.value)
    assert str(caught.value).startswith("config/datasets.yaml: ")
    assert "\n" not in str(caught.value)


def test_every_shipped_file_has_a_host_with_a_policy_a_place_and_a_size(known) -> None:
    for name, resource in known.resources.items():
        for file in resource.files:
            assert file.bytes or file.about, (name, file.name)
            assert file.place or file.unpack, (name, file.name)
            assert all(policies.known(policies.host_of(url)) for url in file.sources), name
        assert not resource.clips or resource.count, name
    stated = {
        "maestro_durations": {"gt_dev.csv": 627_635},
        "ave_annotations": {"mil_labels.h5": 482_732},
        "ave_noisy": {"audio_feature_noisy.h5": 1_824_864, "labels_noisy.h5": 22_792},
        "ave_videos": {"AVE_Dataset.zip": 5_665_119_358},
    }
    for name, files in stated.items():
        assert files.items() <= {file.name: file.bytes for file in known[name].files}.items()
    assert known["beats"].files[0].sha256.startswith("d43cbfad")


def test_base_and_each_are_shorthand(project) -> None:
    other = "https://github.com/b"
    files = [{"name": "a.zip"}, {"name": "b", "urls": [other], "unpack": "x"}]
    shared = {"base": "https://zenodo.org/", "each": {"unpack": "."}}
    project({"thing": {"files": files, **shared}})
    first, second = registry.load()["thing"].files
    assert (first.urls, first.unpack) == (["https://zenodo.org/a.zip"], ".")
    assert (second.urls, second.unpack) == ([other], "x")
