"""The reference systems: what they draw and select by, their sizes, and what tokens are mixed."""

import pytest
import tiny
import torch
from tiny import ROOT, random_batch, tiny_method, tiny_plan

from sedrepro.errors import SedreproError
from sedrepro.objectives import mixup
from sedrepro.papers import method_of, settings_models
from sedrepro.settings import Run, load, plan
from sedrepro.settings.classes import DESED_CLASSES, MAESTRO_CLASSES

PAPER = "dcase_baselines"
NETWORK = {"filters": [4, 6], "pooling": [[2, 4], [2, 4]], "hidden": 5}
SMALL = {"front_end": "wave", "network": NETWORK, "training": {"epochs": 3}}
TOKENS = {"encoder": {"front_end": "tokens", "width": 24, "depth": 2}}
THREE = {"batch": {"synth": 3, "weak": 2, "unlabelled": 4}}
FIVE = {"batch": {"maestro": 3, "synth": 2, "strong": 2, "weak": 2, "unlabelled": 3}}
tiny.OVERLAYS[PAPER] = {
    "front_ends": {
        "wave": {"kind": "waveform", "seconds": 1.0, "n_mels": 16, "n_fft": 512},
        "tokens": {"kind": "beats", "seconds": 1.0, "channels": 24, "steps": 15},
    },
    "papers": {
        PAPER: {
            "settings": SMALL | THREE,
            "methods": {
                "beats": SMALL | THREE | TOKENS,
                "heterogeneous": SMALL | FIVE | TOKENS | {"shown_block": 1},
            },
        }
    },
}
# CNN, merge, recurrent layers, heads.
SIZES = {
    "mt2021": 612_688 + 494_592 + 5_140,
    "beats2023": 612_688 + 114_816 + 494_592 + 5_140,
    "hetero2024": 1_785_094,
}


@pytest.fixture(scope="module")
def project():
    return load(papers=settings_models(), root=ROOT)


def planned(project, row, paper=PAPER):
    condition = next(iter(project.papers[paper].conditions))
    return plan(project, Run(paper, row, condition, 42), settings_models()[paper])


@pytest.mark.parametrize(("row", "size"), SIZES.items())
def test_every_row_has_its_size(project, row, size):
    made = planned(project, row)
    method = object.__new__(method_of(PAPER, made.method))
    method.plan = made
    method.settings = made.settings
    with torch.device("meta"):
        (student,) = method.build().values()
    assert sum(parameter.numel() for parameter in student.parameters()) == size


@pytest.mark.parametrize("row", SIZES)
def test_every_row_takes_a_step_and_scores(row):
    method = tiny_method(tiny_plan(PAPER, row))
    optimiser, batch = method.optimiser(), random_batch(method.plan)
    terms = method.losses(batch, 2)
    assert set(terms) == {"strong", "weak", "mean_teacher"}
    sum(term.weight * term.value for term in terms.values()).backward()
    student = method.networks["student"]
    assert all(torch.isfinite(parameter.grad).all() for parameter in student.parameters())
    before = student.heads.frame.weight.detach().clone()
    optimiser.step()
    assert not torch.equal(before, student.heads.frame.weight)
    method.networks.eval()
    for model in ("student", "teacher"):
        scores = method.scores(model, batch.inputs)
        assert scores["frame"].shape == (len(batch.clips), 15, len(method.plan.classes))


def test_batches_classes_and_windows_are_the_recipes(project):
    for row, groups in (
        ("mt2021", [12, 12, 24]),
        ("beats2023", [24, 24, 48]),
        ("hetero2024", [12, 6, 6, 12, 24]),
    ):
        made = planned(project, row)
        assert [stream.group for stream in made.streams] == groups
        assert made.grid.frames == 156
        mixed = row == "hetero2024"
        assert made.classes == [*DESED_CLASSES, *(MAESTRO_CLASSES if mixed else [])]
        windows = made.settings.decoding.windows(made.classes)
        assert windows == [7] * 10 or (mixed and windows[:4] == [3, 9, 9, 5])
    assert planned(project, "hetero2024").settings.mixup.kind == "baseline"


@pytest.mark.parametrize("row", ["mt2021", "beats2023"])
def test_the_student_selects_by_tags_and_synthetic_events(row):
    method = tiny_method(tiny_plan(PAPER, row))
    metrics = {
        "weak_validation/student/weak_f1": 0.5,
        "synth_validation/student/intersection_f1": 0.25,
        "synth_validation/teacher/intersection_f1": 0.9,
    }
    assert method.select(metrics) == 0.75


def test_mixup_leaves_tokens_alone():
    method = tiny_method(tiny_plan(PAPER, "beats2023", {"mean_teacher": {"mixup": 1.0}}))
    batch = random_batch(method.plan)
    torch.manual_seed(3)
    mixed, _ = method.mixed(batch)
    torch.manual_seed(3)
    parts = [batch.parts["weak"], batch.parts["synth"]]
    drawn = mixup.draw(9, parts, alpha=0.2, probability=1.0, device=torch.device("cpu"))
    assert torch.equal(mixed.inputs["wave"], drawn(method.mel(batch.inputs["wave"])))
    assert not torch.equal(mixed.inputs["wave"], method.mel(batch.inputs["wave"]))
    assert torch.equal(mixed.frames, drawn(batch.frames))
    assert torch.equal(mixed.inputs["tokens"], batch.inputs["tokens"])


def test_a_row_beside_tokens_needs_its_stores():
    with pytest.raises(SedreproError, match="tokens come from stores"):
        tiny_plan(PAPER, "beats2023", {"encoder": {"cached": False}})


def test_rows_that_read_these_runs_find_their_sets_and_classes(project):
    """Also those of the papers that stand on them."""
    readers = [
        (paper, row)
        for paper, spec in project.papers.items()
        for row, line in spec.table.items()
        if line.kind == "reevaluate" and (line.source.startswith(f"{PAPER}/") or paper == PAPER)
    ]
    assert (PAPER, "mt2023") in readers
    for paper, row in readers:
        reader = planned(project, row, paper)
        source = planned(project, reader.source.row, reader.source.paper)
        assert reader.classes == source.classes
        scored = {
            held_out.name: held_out.subset for held_out in source.held_out if held_out.reports
        }
        for held_out in reader.held_out:
            assert not held_out.reports or scored[held_out.name] == held_out.subset, (paper, row)


def test_a_row_may_not_name_a_method_that_is_not_there():
    misspelt = {"papers": {PAPER: {"table": {"beats2023": {"method": "beat"}}}}}
    with pytest.raises(
        SedreproError, match=r"beats2023\.method: no such method \(did you mean beats"
    ):
        load(misspelt, papers=settings_models(), root=ROOT)
