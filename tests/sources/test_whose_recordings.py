"""Whose recordings a tree holds: told by settings, classes and names, without a network."""

from __future__ import annotations

import lzma
import tarfile

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from sedrepro import audio
from sedrepro.settings import Data, Project
from sedrepro.settings.classes import AVE_CLASSES
from sedrepro.sources import ave, desed, fsdkaggle2018, maestro, scenes, whose
from sedrepro.sources.whose import OFFICIAL, OWN, RENDERED, Origin

TABLES = {
    "weak": "train/weak.tsv",
    "unlabelled": "train/unlabel_in_domain.tsv",
    "validation": "validation/validation.tsv",
    "public_eval": "eval/public.tsv",
}


def data(corpus="desed", origin="download", **settings) -> Data:
    return Data.model_validate({"origin": origin, corpus: settings})


def kind(corpus, subset, names, **settings) -> str:
    """Of a tree of the user's own that lists these names."""
    return whose.of(data(corpus, local="/tree", **settings), corpus, subset, names).kind


@pytest.fixture(scope="module")
def official(acceptance, tmp_path_factory) -> dict[tuple[str, str], list[str]]:
    """Every name that an official table lists."""
    folder = tmp_path_factory.mktemp("official")
    with tarfile.open(acceptance / "desed-tables" / "metadata.tar.xz") as archive:
        archive.extractall(folder)
    names = {
        ("desed", subset): list(
            dict.fromkeys(map(desed.clip_of, pd.read_csv(folder / path, sep="\t")["filename"]))
        )
        for subset, path in TABLES.items()
    }
    recordings = pd.read_csv(acceptance / "maestro/development_metadata.csv", sep="\t")["filename"]
    for subset in ("train", "validation"):
        wanted = subset == "validation"
        names["maestro", subset] = [n for n in recordings if maestro.is_validation(n) == wanted]
    rows = ave.read_annotations(acceptance / "ave/Annotations.txt", AVE_CLASSES)
    for subset, order in ave.ORDERS.items():
        places = ave.order(acceptance / f"ave/{order}.h5", len(rows))
        names["ave", subset] = [rows[place].clip for place in places]
    for name, place in (
        ("fsdkaggle2018_train_post_competition.csv", ("fsdkaggle2018", "train")),
        ("tau2019_meta.csv", ("tau2019", "development")),
    ):
        table = folder / name
        packed = (acceptance / "snr-mix" / f"{name}.xz").read_bytes()
        table.write_bytes(lzma.decompress(packed))
        is_events = place[0] == fsdkaggle2018.CORPUS
        read = fsdkaggle2018.read_table if is_events else scenes.read_table
        names[place] = read(table)["fname"].tolist() if is_events else read(table)
    return names


def test_a_complete_copy_of_an_official_table_is_known(official):
    for (corpus, subset), names in official.items():
        assert kind(corpus, subset, names) == OFFICIAL, (corpus, subset)
        assert len(set(names)) == whose.KNOWN[corpus, subset].count
        assert kind(corpus, subset, names[::-1]) == OFFICIAL  # in whatever order


def test_a_clip_more_fewer_or_of_another_name_makes_another_set(official):
    for (corpus, subset), names in official.items():
        for others in (names[1:], [*names, "another"], ["another", *names[1:]]):
            assert kind(corpus, subset, others) == OWN, (corpus, subset)


def test_names_that_are_known_by_their_form():
    numbers = [str(number) for number in range(9500)]  # those without events are not listed
    assert kind("desed", "synth_train", numbers) == OFFICIAL
    assert kind("desed", "synth_train", numbers[:500]) == OWN
    assert kind("desed", "synth_train", [f"mix{number}" for number in numbers]) == OWN


def test_other_classes_make_another_corpus_in_another_order_the_same():
    ten = data().desed.classes
    assert whose.declared(data(classes=ten[::-1]), "desed") == Origin(OFFICIAL)
    assert whose.declared(data(classes=ten[1:]), "desed").kind == OWN
    told = whose.declared(data(classes=["Heron", "Owl"]), "desed")
    assert told == Origin(OWN, "its 2 classes are not the corpus's 10")


def test_what_is_downloaded_is_the_corpus_and_what_is_rendered_is_not():
    assert whose.of(data(), "desed", "validation", ["any"]) == Origin(OFFICIAL)
    looks = data(origin="render")
    assert whose.of(looks, "desed", "validation", ["any"]) == Origin(RENDERED)
    assert whose.declared(looks, "snr_mix") == Origin(RENDERED)
    own = data(origin="render", local="/tree")
    assert whose.of(own, "desed", "validation", ["any"]).kind == OWN


def test_a_user_can_say_so():
    told = whose.declared(data(local="/tree", own=True), "desed")
    assert told == Origin(OWN, "data.desed.own says so")
    assert whose.declared(data("tau2019", local="/tree", own=True), "snr_mix").kind == OWN
    assert whose.declared(data("tut2018", local="/tree", own=True), "snr_mix").kind == OFFICIAL
    with pytest.raises(ValidationError, match="needs `local`"):
        data(own=True)


def test_the_audit_keeps_it(tmp_path):
    name = "YAAAAAAAAAAA_0.000_10.000"
    folder = tmp_path / desed.PLACES["validation"].audio
    folder.mkdir(parents=True)
    audio.write(folder / f"{name}.wav", np.full(8000, 0.1), 800)
    table = tmp_path / desed.PLACES["validation"].table
    table.parent.mkdir(parents=True)
    table.write_text(f"filename\tonset\toffset\tevent_label\n{name}.wav\t0\t1\tCat\n")
    project = Project.model_validate({"data": {"desed": {"local": str(tmp_path)}}})
    (audit,) = desed.adapt("validation", project)[2].to_dict("records")
    why = "the clips of validation are not the corpus's 1,168"
    assert Origin.read(audit) == Origin(OWN, why)
    assert "another version" not in audit["note"]
