"""`plan` before and `audit` after tell the truth on an empty machine, a partial and a full copy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sedrepro import papers, settings, tables
from sedrepro.files import write_json
from sedrepro.pipeline import downloads
from sedrepro.pipeline.audit import Audit, audit, audit_text
from sedrepro.pipeline.text import size
from sedrepro.settings import Data, Layout, Project, Subset
from sedrepro.sources import desed, registry
from sedrepro.sources.fetch import obtain
from sedrepro.sources.ledger import Ledger, Try

SUBSETS = [
    "weak",
    "unlabelled",
    "validation",
    "public_eval",
    "synth_train",
    "synth_validation",
]


@pytest.fixture
def lgc(root: Path, tmp_path: Path, monkeypatch):
    """`lgc(data)`: the real settings of LGC-SED with this `data`, in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def make(**data) -> Project:
        overlay = {"run": ["lgc_sed"], "data": data}
        return settings.load(overlay, papers=papers.settings_models(), root=root)

    return make


def audited(project: Project, root: Path) -> Audit:
    return audit(project, papers.settings_models(), registry.load(root))


def states(found: Audit) -> dict[str, str]:
    """By row; the one that draws real strong labels needs a set that these tests do not make."""
    return {v.row: v.state for v in found.verdicts if v.row != "lgc_strong_real"}


def tree(folder: Path, clips: int = 4) -> Path:
    """A DESED tree of a few clips per subset in the official layout."""
    for name in SUBSETS:
        place = desed.PLACES[name]
        (folder / place.audio).mkdir(parents=True)
        (folder / place.table).parent.mkdir(parents=True, exist_ok=True)
        heading = {"none": "filename", "weak": "filename\tevent_labels"}.get(
            place.labels, "filename\tonset\toffset\tevent_label"
        )
        cells = {"none": "", "weak": "\tDog"}.get(place.labels, "\t0.1\t0.5\tDog")
        rows = []
        for number in range(clips):
            soundfile.write(folder / place.audio / f"{name}{number}.wav", np.zeros(8000), 16000)
            rows.append(f"{name}{number}.wav{cells}")
        (folder / place.table).write_text("\n".join([heading, *rows]) + "\n")
    return folder


def describe(project: Project) -> None:
    """What the rule `adapt` does."""
    for name in SUBSETS:
        made = desed.adapt(name, project)
        for table, kind, columns in zip(
            made,
            ("clips", "events", "audit"),
            (tables.CLIPS, tables.EVENTS, tables.AUDIT),
            strict=True,
        ):
            tables.write(Layout.of(project).table(Subset("desed", name), kind), table, columns)


def test_an_empty_machine(lgc, root: Path) -> None:
    found = audited(lgc(), root)
    assert set(states(found).values()) == {"not known yet"}
    assert {stock.status for stock in found.stock} == {"not fetched yet"}
    assert {(c.expected, c.found) for c in found.counts} == {(None, None)}
    assert len(found.counts) == 7
    assert "not known yet: mt" in audit_text(found).replace("untrained, mt_median7", "mt")


def test_a_full_copy(lgc, root: Path, tmp_path: Path) -> None:
    project = lgc(desed={"local": str(tree(tmp_path / "mine"))})
    describe(project)
    found = audited(project, root)
    assert set(states(found).values()) == {"in full"}
    assert {stock.status for stock in found.stock} == {"local copy"}
    stock = {stock.resource: stock for stock in found.stock}
    wavs = [path.stat().st_size for path in (tmp_path / "mine").rglob("validation*.wav")]
    assert stock["desed_validation"].files == len(wavs) == 4
    assert stock["desed_validation"].bytes == sum(wavs) > 0
    described = [count for count in found.counts if count.subset != "strong_real"]
    assert {(count.expected, count.found) for count in described} == {(4, 4)}
    assert found.mend == []


def test_a_partial_copy(lgc, root: Path, tmp_path: Path) -> None:
    own = tree(tmp_path / "mine")
    for number in range(3):
        (own / desed.PLACES["validation"].audio / f"validation{number}.wav").unlink()
    for number in range(4):
        (own / desed.PLACES["weak"].audio / f"weak{number}.wav").unlink()
    project = lgc(desed={"local": str(own)})
    describe(project)
    found = audited(project, root)
    counts = {count.subset: (count.expected, count.found) for count in found.counts}
    assert counts["validation"] == (4, 1)
    assert counts["weak"] == (4, 0)
    assert states(found)["untrained"] == "in part"  # needs no training data
    assert states(found)["mt"] == states(found)["lgc"] == "not at all"
    text = audit_text(found)
    assert "not at all: mt" in text
    assert "desed weak: 0 of 4 clips" in text
    assert f"desed validation: 3 clips are not in {own}" in text


def test_what_could_not_be_had_is_named_with_its_remedy(lgc, root: Path) -> None:
    project = lgc()
    layout = Layout.of(project)
    for name in downloads.needs(project, papers.settings_models(), registry.load(root)):
        status = "unavailable" if name == "desed_synth" else "ok"
        content = {"resource": name, "status": status, "reason": "HTTP 410", "files": 1, "bytes": 5}
        write_json(layout.status(name), content)
    found = audited(project, root)
    stock = {stock.resource: stock.status for stock in found.stock}
    assert stock["desed_synth"] == "unavailable"
    (mend,) = found.mend
    assert "HTTP 410" in mend
    assert "data.desed.synthetic: mix" in mend
    assert f"delete {layout.status('desed_synth')}" in mend
    assert "data.desed.local" in mend


def test_the_loss_of_a_file_without_clips_is_spelt_out(project) -> None:
    weights = {"files": [{"name": "w.pt", "place": "w.pt"}], "loss": "rows on w cannot run"}
    project({"w": {**weights, "corpus": "weights"}})
    settings_ = Project.model_validate(
        {
            "papers": {
                "p": {
                    "title": "",
                    "authors": "",
                    "venue": "",
                    "url": "",
                    "corpora": [],
                    "conditions": {"c": {}},
                    "headline": [],
                    "table": {},
                }
            }
        }
    )
    write_json(Layout.of(settings_).status("w"), obtain("w", settings_))
    found = audit(settings_)
    assert found.losses == ["w is unavailable: rows on w cannot run"]
    assert "put it by hand at data/full/downloads/w/w.pt" in audit_text(found)


def test_plan_counts_sizes_that_are_known_and_told(lgc, root: Path) -> None:
    found = downloads.plan(lgc(), papers.settings_models(), registry.load(root))
    tables_ = 72_813 + 455_056 + 221_316
    clips = 1578 + 14412 + 1168
    assert found.total == found.papers["lgc_sed"]
    assert (found.total.files, found.total.known) == (clips + 5, tables_)
    assert found.total.about == clips * downloads.CLIP_BYTES + 890_000_000 + 11_000_000_000
    text = downloads.files_text(found, Data())
    assert "~11.0 GB  dcase_synth.zip  (checksum unknown)" in text
    assert "md5 a5f66487feaea5c5d8f028bf1ef5bd41" in text
    assert "licence: CC BY 4.0" in text
    assert text.splitlines()[-1].startswith("in all: 17,163 files, 749.2 kB known")


def test_plan_knows_own_copies_and_the_miniature(lgc, root: Path, tmp_path: Path) -> None:
    own = downloads.plan(
        lgc(desed={"local": str(tmp_path)}), papers.settings_models(), registry.load(root)
    )
    assert own.total.files == 0
    assert f"local copy at {tmp_path}" in downloads.files_text(own, Data())
    text = downloads.plan_text(own, Data())
    assert f"your own copy {tmp_path}" in re.sub(" +", " ", text)
    assert "lgc_sed: nothing to get" in text
    rendered = downloads.plan(lgc(origin="render"), papers.settings_models(), registry.load(root))
    assert rendered.total.files == 0
    assert "the miniature is rendered" in downloads.files_text(rendered, Data())
    assert "rendered here" in downloads.plan_text(rendered, Data())


def test_plan_counts_the_clips_that_are_there_and_gone(lgc, root: Path, tmp_path: Path) -> None:
    """The folder of the clips is there from the first one on."""
    project = lgc(folder=str(tmp_path / "d"))
    folder = Path(registry.downloads(project.data_folder, "desed_weak"))
    (Path(Layout.of(project).raw("desed")) / "audio/train/weak").mkdir(parents=True)
    with Ledger(folder / "clips.tsv") as ledger:
        ledger.note("a.wav", Try("ok", 10.0))
        ledger.note("b.wav", Try("removed"))
        ledger.note("c.wav", Try("refused"))
    found = downloads.plan(project, papers.settings_models(), registry.load(root))
    mine = [(i.count, i.there) for i in found.items if i.resource == "desed_weak"]
    assert mine == [(1, True), (1576, False)]


def test_plan_of_everything_is_one_screen(root: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def text(**data) -> str:
        project = settings.load({"data": data}, papers=papers.settings_models(), root=root)
        found = downloads.plan(project, papers.settings_models(), registry.load(root))
        return downloads.plan_text(found, project.data)

    lines = text().splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 110
    line = {line.partition(" ")[0]: re.sub(" +", " ", line) for line in lines}
    assert line["tau2019"] == "tau2019 23 files 35.6 GB Zenodo 12 min"
    assert line["desed_weak"] == "desed_weak 1,578 clips ~1.4 GB YouTube 5.3 h"
    strong = "desed_strong_real 1,909 clips + 1 file ~1.7 GB Zenodo + YouTube 6.4 h"
    assert line["desed_strong_real"] == strong
    assert line["mtda_hsed:"].startswith("mtda_hsed: 19,067 clips + 10 files, 30.2 GB, 2.6 days")
    assert line["weak_mtl:"] == "weak_mtl: 25 files, 40.6 GB, 14 min"
    # Ten and a half seconds a video, with the pauses that yt-dlp's makers advise.
    assert [way for way in lines if "data.fetch.cookies" in way and "2.3 days" in way]
    assert [way for way in lines if "data.fetch.mirrors: all" in way and "17,158" in way]
    with_account = text(fetch={"cookies": "firefox", "mirrors": "all"})
    assert "YouTube: 343 videos an hour" in with_account
    assert "data.fetch." not in with_account
    scenes = text(snr_mix={"scenes": "tut2018"})
    assert "tut2018 15 files 21.4 GB Zenodo 7 min" in re.sub(" +", " ", scenes)


def test_plan_promises_no_copy_that_is_not_allowed(root: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def plans(mirrors: str) -> tuple[str, str]:
        data = {"data": {"fetch": {"mirrors": mirrors}}}
        project = settings.load(data, papers=papers.settings_models(), root=root)
        found = downloads.plan(project, papers.settings_models(), registry.load(root))
        short = downloads.plan_text(found, project.data)
        return short, downloads.files_text(found, project.data)

    short, long = plans("listed")
    assert "beats 1 file ~360.0 MB Hugging Face" in re.sub(" +", " ", short)
    (line,) = [line for line in long.splitlines() if "copy  " in line and "Bencr" in line]
    assert "the same bytes; licence: see microsoft/unilm; the checksum is what about ten" in line
    assert len([line for line in long.splitlines() if line.startswith("  copy  ")]) == 6
    assert "minhleduc/DESED/resolve/main/audio/train/weak/ (16 kHz" in long
    short, long = plans("none")
    assert "beats 1 file ~360.0 MB by hand" in re.sub(" +", " ", short)
    assert "huggingface" not in long
    assert "copy  " not in long


def test_plan_sees_what_is_there_and_what_was_frozen(project, host) -> None:
    url = host.add("a", b"content")
    project({"thing": {"files": [{"name": "a", "urls": [url], "place": "a"}]}})
    base = {"title": "", "authors": "", "venue": "", "url": "", "corpora": []}
    paper = {**base, "conditions": {"c": {}}, "headline": [], "table": {}}
    settings_ = Project.model_validate({"papers": {"p": paper}})
    before = downloads.plan(settings_)
    assert (before.total.known, before.total.about, before.there.files) == (0, 1, 0)
    obtain("thing", settings_)
    after = downloads.plan(settings_)
    assert (after.total.known, after.total.about, after.there.files) == (7, 0, 1)
    assert after.items[0].checksum.endswith("(frozen)")
    Path("data/full/downloads/thing/a").unlink()  # what it brought is still in the raw tree
    assert downloads.plan(settings_).there.files == 1
    assert audit(settings_).stock[0].verified == {"nobody": 1}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (35_622_537_482, "35.6 GB"), (2e12, "2.0 TB")],
)
def test_sizes(count, text: str) -> None:
    assert size(count) == text
