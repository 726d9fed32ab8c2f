"""Cross-task training: each row's step, and every loss against the definition in loops."""

import copy
import math

import pytest
import torch
from tiny import ROOT, random_batch, tiny_method, tiny_plan
from torch.nn import functional as F

from sedrepro.errors import SedreproError
from sedrepro.objectives import rct
from sedrepro.papers import method_of, settings_models
from sedrepro.settings import Run, load, plan

PAPER = "cross_task_sod"
BASE = {"strong", "weak", "tag_consistency", "sed_consistency"}
RCT = BASE | {"self_consistency"}
SOD = RCT | {"activity", "measure/agreement"}
FULL = SOD | {"activity_consistency", "cross_task"}
TERMS = {
    "mt_backbone": BASE,
    "rct": RCT,
    "rct_time_mask": RCT,
    "rct_pitch_shift": RCT,
    "rct_time_shift": RCT,
    "rct_backbone": RCT,
    "sod": SOD,
    "sod_mt": SOD | {"activity_consistency"},
    "cross_task": FULL,
    "full": FULL,
    "bands_1": FULL,
    "sod_with_dishes": FULL,
    "sod_occurrence": FULL,
    "sod_overlap": FULL,
    "discard_all": FULL,
    "discard_none": FULL,
    "bce_consistency": FULL,
    "no_self": FULL - {"self_consistency"},
    "no_augment": FULL - {"self_consistency"},
}
STEADY = {
    "backbone": {"dropout": 0.0, "block_dropout": 0.0},
    "crnn": {"dropout": 0.0},
}
"""Without dropout a network is a function of its input, so a reference can call it again."""


def total(terms):
    return sum(term.weight * term.value for term in terms.values())


@pytest.fixture(scope="module")
def project():
    return load(papers=settings_models(), root=ROOT)


def test_there_is_a_test_for_every_row_that_trains(project):
    table = project.papers[PAPER].table
    assert set(TERMS) == {name for name, row in table.items() if row.kind == "train"}


@pytest.mark.parametrize("row", list(TERMS))
def test_every_row_takes_a_step(row):
    method = tiny_method(tiny_plan(PAPER, row))
    before = copy.deepcopy(method.networks["student"].state_dict())
    (group,) = method.param_groups()
    optimiser = torch.optim.Adam(group["params"], lr=group["lr"])
    terms = method.losses(random_batch(method.plan), 1)
    assert set(terms) == TERMS[row]
    total(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in group["params"])
    optimiser.step()
    after = method.networks["student"].state_dict()
    assert not torch.equal(before["heads.frame.weight"], after["heads.frame.weight"])
    assert all(p.grad is None for p in method.networks["teacher"].parameters())


@pytest.mark.parametrize("row", ["mt_backbone", "rct", "full"])
def test_classes_of_ones_own_take_a_step(row):
    method = tiny_method(tiny_plan(PAPER, row, classes=["Heron", "Bittern", "Owl"]))
    assert method.activity.counted == [0, 1, 2]
    terms = method.losses(random_batch(method.plan), 1)
    assert set(terms) == TERMS[row]
    total(terms).backward()
    assert method.networks["student"].heads.frame.weight.grad.abs().sum(1).min() > 0


def test_activity_needs_a_class_that_counts():
    with pytest.raises(SedreproError, match=r"row \w+: sod.exclude leaves no class .* Dishes$"):
        tiny_plan(PAPER, "full", classes=["Dishes"])
    tiny_plan(PAPER, "full", {"sod": {"exclude": ["Owl"]}}, classes=["Owl", "Dishes"])
    both = {"sod": {"exclude": ["Owl", "Heron"]}}
    with pytest.raises(SedreproError, match=r"leaves no class that counts of Heron, Owl$"):
        tiny_plan(PAPER, "full", both, classes=["Heron", "Owl"])


def reference(method, batch, seed):
    """The full method's terms on the enlarged batch, by the definition, in loops."""
    s = method.settings
    torch.manual_seed(seed)
    seen, copies = rct.expand(batch, "tiny_wave", s.rct.methods, method.mel)
    mel, y, tags, parts = seen.inputs["tiny_wave"], seen.frames, seen.clips, seen.parts
    shown = torch.stack([20 * torch.log10(clip.clamp(min=1e-5)) for clip in mel]).clamp(-50, 80)
    shown = torch.stack([(c - c.min()) / (c.max() - c.min() + 1e-8) for c in shown])
    with torch.no_grad():
        student, teacher = (method.networks[name](shown) for name in ("student", "teacher"))
    clips, frames, classes = y.shape
    counted = [c for c in range(classes) if method.plan.classes[c] not in s.sod.exclude]
    low, top = s.sod.low, s.sod.outputs - 1

    def state(active):
        return min(max(int(sum(active[c] > 0.5 for c in counted)) - low, 0), top)

    mse = lambda a, b: float(((a - b) ** 2).mean())  # noqa: E731
    synth, weak = parts["synth"], parts["weak"]
    real = range(synth.stop, clips)
    cross, entropy, agreed = [], [], {}
    for i in range(clips):
        for t in range(frames):
            p = torch.softmax(student.activity[i, t], 0)
            amount = float(sum(student.frame[i, t, c] for c in counted))
            amount = min(max(amount - low, 0), top)
            cross.append((amount - float(p.max()) * int(p.argmax())) ** 2)
            if i < synth.stop:
                entropy.append(-float(p[state(y[i, t])].log()))
            else:
                said = int(teacher.activity[i, t].argmax())
                agreed[i, t] = state(teacher.frame[i, t]) == said
    assert 0 < sum(agreed.values()) < len(agreed)
    gap = (student.frame - teacher.frame) ** 2
    kept = [float(gap[i, t].sum()) * (1 if agreed[i, t] else s.sod.disagreeing) for i, t in agreed]
    selected = float(gap[synth].mean()) + sum(kept) / (len(real) * frames * classes)
    share = {"synth": 0.25, "weak": 0.25, "unlabelled": 0.5}
    consistent = sum(
        share[name]
        / 2
        * float(
            rct.self_consistency(student.frame[parts[name]], copies[name], 0.95, 0.05)
            + rct.self_consistency(student.clip[parts[name]], copies[name], 0.95, 0.05)
        )
        for name in parts
    )
    return {
        "strong": float(F.binary_cross_entropy(student.frame[synth], y[synth])),
        "weak": float(F.binary_cross_entropy(student.clip[weak], tags[weak])),
        "tag_consistency": mse(student.clip, teacher.clip),
        "activity": sum(entropy) / len(entropy),
        "activity_consistency": mse(student.activity, teacher.activity),
        "cross_task": sum(cross) / len(cross),
        "measure/agreement": sum(agreed.values()) / len(agreed),
        "sed_consistency": selected if s.sod.select else float(gap.mean()),
        "self_consistency": consistent,
    }


@pytest.mark.parametrize(
    "row", ["full", "cross_task", "discard_all", "sod_with_dishes", "sod_occurrence", "sod_overlap"]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_step_follows_the_definition(row, seed):
    method = tiny_method(tiny_plan(PAPER, row, STEADY))
    batch = random_batch(method.plan)
    # A teacher that disagrees with the student, and heads that make up their minds.
    torch.manual_seed(3)
    with torch.no_grad():
        for network in (method.networks["student"], method.networks["teacher"]):
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
            network.heads.frame.weight.mul_(6)
            network.activity.head.weight.mul_(6)
    expected = reference(method, batch, seed)
    torch.manual_seed(seed)
    terms = method.losses(batch, 3)
    found = {name: float(term.value.detach()) for name, term in terms.items()}
    assert found == pytest.approx(expected, rel=5e-4)


def test_weights_and_ramps_at_the_start_half_way_and_the_end():
    method = tiny_method(tiny_plan(PAPER, "full"), steps_per_epoch=10)
    batch, length = random_batch(method.plan), 2 * 10
    for step in (1, 10, 20, 900):
        w = 2 * math.exp(-5 * (1 - min(step, length) / length) ** 2)
        expected = {
            "strong": 1,
            "weak": 1,
            "activity": 0.2,
            "sed_consistency": w,
            "tag_consistency": w,
            "activity_consistency": 0.05 * w,
            "cross_task": 0.01 * w,
            "self_consistency": w,
            "measure/agreement": 0,
        }
        weights = {name: term.weight for name, term in method.losses(batch, step).items()}
        assert weights == pytest.approx(expected)
    assert [method.rate(n) for n in (9, 19, 500)] == pytest.approx([math.exp(-5 / 4), 1, 1])
    assert [method.decay(n) for n in (1, 2, 10_000)] == pytest.approx([0.5, 2 / 3, 0.999])
    assert method.average_before_step


def test_full_weight_on_disagreeing_frames_is_no_selection():
    """Row K: the same weight on all frames, over synthetic and other clips apart."""
    found = {}
    for row in ("discard_none", "cross_task"):
        method = tiny_method(tiny_plan(PAPER, row, STEADY))
        with torch.no_grad():
            method.networks["teacher"].heads.frame.bias.add_(1)
        torch.manual_seed(0)
        found[row] = method.losses(random_batch(method.plan), 5)
    # 9 of 27 clips are synthetic: the mean over all is a weighted mean of the two.
    apart, together = (found[row]["sed_consistency"].value.item() for row in found)
    assert apart != pytest.approx(together)
    for name in FULL - {"sed_consistency"}:
        assert torch.equal(found["discard_none"][name].value, found["cross_task"][name].value)


def test_a_batch_without_unlabelled_clips_still_trains():
    method = tiny_method(tiny_plan(PAPER, "full"))
    batch = random_batch(method.plan)
    kept = slice(0, batch.parts["weak"].stop)
    parts = {**batch.parts, "unlabelled": slice(kept.stop, kept.stop)}
    inputs = {name: values[kept] for name, values in batch.inputs.items()}
    less = type(batch)(inputs, batch.frames[kept], batch.clips[kept], parts)
    assert torch.isfinite(total(method.losses(less, 2)))


def test_every_draw_follows_torchs_generators():
    method = tiny_method(tiny_plan(PAPER, "full", {"rct": {"methods": ["time_mask"]}}))
    batch, values = random_batch(method.plan), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(total(method.losses(batch, 2)).item())
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("row", ["untrained", "mt_backbone", "rct_backbone", "full", "sod_overlap"])
def test_scores_before_and_after_correction(row):
    method = tiny_method(tiny_plan(PAPER, row))
    method.networks.eval()
    inputs = random_batch(method.plan).inputs
    frames = method.plan.grid.frames
    for model in method.models():
        scores = method.scores(model, inputs)
        assert scores["frame"].shape == (9, frames, 10)
        assert scores["clip"].shape == (9, 10)
        assert ("sod" in scores) == (row not in ("mt_backbone", "rct_backbone"))
        if "sod" in scores:
            assert scores["sod"].shape == (9, frames, method.settings.sod.outputs)
            torch.testing.assert_close(scores["sod"].sum(-1), torch.ones(9, frames))
            logits = scores["sod"].log()
            expected = method.activity.corrected(scores["frame"], logits, 0.2)
            assert torch.equal(scores["frame_with_sod"], expected)
    maps = method.explain(inputs)
    assert maps["input"].shape == (9, *method.mel(inputs["tiny_wave"]).shape[1:])
    assert torch.equal(maps["student"], method.scores("student", inputs)["frame"])


def test_the_checkpoint_is_chosen_by_the_student_on_tags_and_synthetic_events():
    method = tiny_method(tiny_plan(PAPER, "full"))
    metrics = {
        "weak_validation/student/weak_f1": 0.5,
        "weak_validation/teacher/weak_f1": 0.9,
        "synth_validation/student/intersection_f1": 0.25,
        "synth_validation/teacher/intersection_f1": 0.9,
    }
    assert method.select(metrics) == 0.75
    held_out = {h.name: h for h in method.plan.held_out}
    assert [name for name in held_out if held_out[name].selects] == [
        "synth_validation",
        "weak_validation",
    ]
    assert held_out["weak_validation"].subset.portion == "held_out"
    assert held_out["weak_validation"].metrics == ("tags",)


def test_mixed_precision_keeps_losses_in_float32():
    made = tiny_plan(PAPER, "full")
    method = method_of(PAPER)(made, steps_per_epoch=2, device=torch.device("cpu"), amp=True)
    terms = method.losses(random_batch(made), 3)
    assert all(t.value.dtype == torch.float32 for t in terms.values())
    assert torch.isfinite(total(terms))
    total(terms).backward()


def test_full_size_is_the_papers(project):
    def made(row):
        return plan(project, Run(PAPER, row, "desed", 42), settings_models()[PAPER])

    full = made("full")
    assert (full.grid.frames, full.grid.seconds) == (156, pytest.approx(0.064))
    assert [(s.name, s.group) for s in full.streams] == [
        ("synth", 6),
        ("weak", 6),
        ("unlabelled", 12),
    ]
    assert full.settings.decoding.windows(full.classes) == [3, 28, 7, 4, 7, 22, 48, 19, 10, 50]
    assert full.settings.decoding.scores == "frame_with_sod"
    assert [s.group for s in made("rct").streams] == [12, 12, 24]
    for row in ("mt", "rct"):
        assert made(row).settings.decoding.windows(full.classes) == [7] * 10
    assert made("rct").settings.crnn.gate_kind == "context"
    assert made("mt_backbone").settings.mean_teacher.mixup == 0.5
    assert made("mt").source == Run("dcase_baselines", "mt2021", "desed", 42)
    for row, scores, windows in [("no_sod_test", "frame", 28), ("median7", "frame_with_sod", 7)]:
        again = made(row)
        assert again.source == full.run
        assert again.settings.decoding.scores == scores
        assert again.settings.decoding.windows(full.classes)[1] == windows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"front_end": "mel128"}, "rct.use needs a front end of kind waveform"),
        ({"network": "crnn"}, "no sound-activity branch"),
        ({"sod": {"use": False}}, "frame_with_sod needs sod.use"),
        ({"decoding": {"scores": "sod"}}, "should be frame or frame_with_sod, not sod"),
        ({"backbone": {"bands": 3}}, "bands 3 does not divide the 16 frequencies"),
        ({"backbone": {"pooling": [[2, 2]] * 5}}, "at least one of the event branch"),
        (
            {"backbone": {"bands": 1, "pooling": [[2, 2]] * 6}},
            "one band and some frames must be left",
        ),
        ({"backbone": {"filters": [4, 4]}}, "backbone.filters"),
    ],
)
def test_settings_that_cannot_be_are_one_clear_line(changes, message):
    with pytest.raises(SedreproError) as caught:
        tiny_plan(PAPER, "full", changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
