"""LGC-SED: each row's step against the definition written out in loops, and its order of events."""

import copy
import math

import pytest
import torch
from tiny import random_batch, tiny_method, tiny_plan
from torch.nn import functional as F

from sedrepro.objectives import cutmix, mixup, shift
from sedrepro.papers import method_of
from sedrepro.papers.contract import Epoch

TERMS = {
    "mt": {"strong", "weak", "mean_teacher"},
    "clc": {"strong", "weak", "mean_teacher", "clc"},
    "pgc": {"strong", "weak", "mean_teacher", "pgc"},
    "lgc": {"strong", "weak", "mean_teacher", "clc", "pgc"},
}
MORE = {
    "ict": {"strong", "weak", "mean_teacher", "ict"},
    "sct": {"strong", "weak", "mean_teacher", "sct"},
    "lgc_audio": TERMS["lgc"],
    "lgc_strong_real": TERMS["lgc"],
    "lgc_1_prototype": TERMS["lgc"],
    "lgc_5_prototypes": TERMS["lgc"],
    "lgc_sct": TERMS["lgc"] | {"sct"},
    "lgc_rct": TERMS["lgc"] | {"self_consistency"},
}
"""Rows beside the paper's own."""
STEADY = {"network": {"dropout": 0.0}}
"""Without dropout a network is a function of its input, so a reference can call it again."""


def started(row: str, changes=None, **options):
    """A method whose prototypes are initialised, a batch, and the first step that uses them."""
    method = tiny_method(tiny_plan("lgc_sed", row, changes), **options)
    batch = random_batch(method.plan)
    method.on_epoch(Epoch(0, {}, lambda: iter([batch, random_batch(method.plan, 1)])))
    method.networks.train()
    return method, batch, method.steps_per_epoch + 1


def total(terms):
    return sum(term.weight * term.value for term in terms.values())


@pytest.mark.parametrize("row", [*TERMS, *MORE])
def test_every_row_takes_a_step(row):
    method, batch, step = started(row)
    before = copy.deepcopy(method.networks["student"].state_dict())
    (group,) = method.param_groups()
    optimiser = torch.optim.Adam(group["params"], lr=group["lr"])
    terms = method.losses(batch, step)
    assert set(terms) == {**TERMS, **MORE}[row]
    total(terms).backward()
    gradients = [p.grad for p in group["params"]]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    optimiser.step()
    after = method.networks["student"].state_dict()
    assert not torch.equal(before["heads.frame.weight"], after["heads.frame.weight"])
    assert all(p.grad is None for p in method.networks["teacher"].parameters())


def reference(method, batch, step, seed):
    """The terms of one step, by the definition: loops over clips, frames and classes."""
    s = method.settings
    with torch.no_grad():
        torch.manual_seed(seed)
        n, frames = batch.frames.shape[:2]
        mixing = mixup.draw(
            n,
            [batch.parts["weak"], batch.parts["synth"]],
            alpha=s.mean_teacher.mixup_alpha,
            probability=s.mean_teacher.mixup,
            device=method.device,
        )
        cut = cutmix.draw(n, frames, s.clc.ratio, method.device)
        mel, y, w = (mixing(v) for v in (batch.inputs["mel128"], batch.frames, batch.clips))

        def seen(x):
            shown = torch.stack([20 * torch.log10(clip.clamp(min=1e-5)) for clip in x])
            shown = shown.clamp(-50, 80)
            return torch.stack([(c - c.min()) / (c.max() - c.min() + 1e-8) for c in shown])

        student = method.networks["student"](seen(mel), project=s.pgc.use)
        teacher = method.networks["teacher"](seen(mel), project=s.pgc.use)
        pasted, target, real = mel.clone(), teacher.frame.clone(), torch.ones(n, frames)
        for i in range(n):
            for t in range(frames):
                origin = int(cut.order[i]) if cut.mask[i, t] and s.clc.use else i
                pasted[i, :, 4 * t : 4 * t + 4] = mel[origin, :, 4 * t : 4 * t + 4]
                target[i, t] = teacher.frame[origin, t]
                real[i, t] = origin >= batch.parts["synth"].stop
        second = (
            method.networks["student"](seen(pasted), project=s.pgc.use) if s.clc.use else student
        )

        synth, weak = batch.parts["synth"], batch.parts["weak"]
        mse = lambda a, b: float(((a - b) ** 2).mean())  # noqa: E731
        values = {
            "strong": float(F.binary_cross_entropy(student.frame[synth], y[synth])),
            "weak": float(F.binary_cross_entropy(student.clip[weak], w[weak])),
            "mean_teacher": mse(student.frame, teacher.frame) + mse(student.clip, teacher.clip),
        }
        if s.clc.use:
            values["clc"] = mse(second.frame, target)
        if s.pgc.use:
            vectors = moved_prototypes(method, batch, y, teacher)
            values["pgc"] = contrast(s.pgc, second, target, real, vectors)
    return values


def moved_prototypes(method, batch, y, teacher):
    pgc, before = method.settings.pgc, method.networks["prototypes"].vectors
    groups: dict[tuple[int, int], list] = {}
    for i in range(len(batch.clips)):
        for t in range(y.shape[1]):
            label = y[i, t] if i < batch.parts["synth"].stop else teacher.frame[i, t]
            serves = [c for c in range(len(label)) if label[c] >= pgc.confident]
            serves += [len(label)] * bool(label.max() < pgc.background)
            for c in serves:
                m = int((before[c] @ teacher.projected[i, t]).argmax())
                groups.setdefault((c, m), []).append(teacher.projected[i, t])
    after = before.clone()
    for (c, m), members in groups.items():
        v = pgc.momentum * before[c, m] + (1 - pgc.momentum) * sum(members) / len(members)
        after[c, m] = v / v.norm()
    assert groups
    return after


def contrast(pgc, second, target, real, vectors):
    losses = []
    for i in range(len(target)):
        for t in range(target.shape[1]):
            sure = [*target[i, t].tolist(), 1 - float(target[i, t].max())]
            own = [*second.frame[i, t].tolist(), 1 - float(second.frame[i, t].max())]
            positives = [c for c, p in enumerate(sure) if p > pgc.confident]
            if not real[i, t] or not any(own[c] < pgc.uncertain for c in positives):
                continue
            s = (vectors @ second.projected[i, t]).max(-1).values / pgc.temperature
            losses.append(-sum(float(s.log_softmax(0)[c]) for c in positives) / len(positives))
    assert 0 < len(losses) < target.shape[0] * target.shape[1]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("row", list(TERMS))
@pytest.mark.parametrize("seed", [0, 1])
def test_a_step_follows_the_definition(row, seed):
    changes = {**STEADY, "mean_teacher": {"mixup": 1.0}, "pgc": {"momentum": 0.5}}
    method, batch, step = started(row, changes)
    # A teacher that disagrees with the student, so that no term is trivially 0.
    with torch.no_grad():
        for parameter in method.networks["teacher"].parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    expected = reference(method, batch, step, seed)
    torch.manual_seed(seed)
    terms = method.losses(batch, step)
    assert {name: float(term.value.detach()) for name, term in terms.items()} == pytest.approx(
        expected, rel=2e-4
    )
    ramp = math.exp(-5 * (1 - 3 / 4) ** 2)
    weights = {"strong": 1, "weak": 1, "mean_teacher": 2 * ramp, "clc": 2 * ramp, "pgc": 0.1}
    assert {n: t.weight for n, t in terms.items()} == pytest.approx({n: weights[n] for n in terms})


def test_with_both_switches_off_the_loss_is_the_mean_teachers():
    found = {}
    for row in ("mt", "lgc"):
        method = tiny_method(tiny_plan("lgc_sed", row))
        torch.manual_seed(5)
        found[row] = method.losses(random_batch(method.plan), 1)
    for name in TERMS["mt"]:
        assert found["mt"][name].weight == found["lgc"][name].weight
        assert torch.equal(found["mt"][name].value, found["lgc"][name].value)
    off = tiny_method(tiny_plan("lgc_sed", "lgc", {"clc": {"use": False}, "pgc": {"use": False}}))
    torch.manual_seed(5)
    terms = off.losses(random_batch(off.plan), 99)
    assert set(terms) == TERMS["mt"]


def test_the_projector_is_untrained_until_the_epoch_after_the_start():
    method, batch, first = started("lgc")
    projector = method.networks["student"].projector.linear
    for step, trained in [(first - 1, False), (first, True)]:
        method.networks.zero_grad(set_to_none=True)
        total(method.losses(batch, step)).backward()
        assert (projector.weight.grad is not None) == trained


def test_prototypes_move_only_once_they_are_used_and_stay_unit_vectors():
    method, batch, first = started("lgc")
    vectors = method.networks["prototypes"].vectors
    before = vectors.clone()
    method.losses(batch, first - 1)
    assert torch.equal(vectors, before)
    method.losses(batch, first)
    assert not torch.equal(vectors, before)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:2]))


def test_without_anchors_the_contrast_is_zero():
    method, batch, step = started("lgc", {"pgc": {"uncertain": 0.0}})
    terms = method.losses(batch, step)
    assert terms["pgc"].value == 0
    total(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.networks["student"].parameters())


def test_prototypes_start_from_the_teacher_in_evaluation_mode():
    method = tiny_method(tiny_plan("lgc_sed", "lgc", {"pgc": {"prototypes": 1}}))
    batch = random_batch(method.plan)
    method.losses(batch, 1)  # running statistics that are no longer the initial ones
    epoch = Epoch(0, {}, lambda: iter([batch]))
    for other in (Epoch(1, {}, epoch.batches), epoch):
        assert not method.networks["prototypes"].initialised
        method.on_epoch(other)
    assert method.networks["prototypes"].initialised
    assert method.networks["teacher"].training
    method.networks.eval()
    teacher = method.networks["teacher"](method.normalised(batch.inputs["mel128"]), project=True)
    labels = teacher.frame.clone()
    labels[batch.parts["synth"]] = batch.frames[batch.parts["synth"]]
    for c in range(10):
        chosen = teacher.projected[labels[..., c] >= method.settings.pgc.confident]
        centre = F.normalize(chosen.mean(0), dim=0)
        torch.testing.assert_close(method.networks["prototypes"].vectors[c, 0], centre)
    background = teacher.projected[labels.amax(-1) < method.settings.pgc.background].mean(0)
    torch.testing.assert_close(
        method.networks["prototypes"].vectors[10, 0], F.normalize(background, dim=0)
    )


def test_prototypes_are_part_of_a_checkpoint():
    method, batch, step = started("lgc", STEADY)
    restored = tiny_method(method.plan, seed=9)
    for name, network in restored.networks.items():
        network.load_state_dict(method.networks[name].state_dict())
    losses = []
    for one in (method, restored):
        torch.manual_seed(0)
        losses.append(total(one.losses(batch, step)))
    assert torch.equal(*losses)


def test_rates_decay_and_the_order_of_averaging():
    method = tiny_method(tiny_plan("lgc_sed", "mt"), steps_per_epoch=10)
    length = 2 * 10
    # In force after step n is the rate of update n + 1.
    for step in (1, 9, 18):
        expected = math.exp(-5 * (1 - (step + 1) / length) ** 2)
        assert method.rate(step) == pytest.approx(expected)
    assert method.rate(19) == method.rate(500) == 1
    assert [method.decay(n) for n in (1, 2, 10_000)] == pytest.approx([0.5, 2 / 3, 0.999])
    assert method.averaged() == {"teacher": "student"}
    assert method.average_before_step
    later = tiny_plan("lgc_sed", "mt", {"mean_teacher": {"average_before_step": False}})
    assert not tiny_method(later).average_before_step


def test_the_teacher_starts_as_the_student_and_is_never_trained():
    method = tiny_method(tiny_plan("lgc_sed", "lgc"))
    assert method.models() == ["student", "teacher"]
    student, teacher = (method.networks[name].state_dict() for name in method.models())
    assert all(torch.equal(student[name], teacher[name]) for name in student)
    trained = {id(p) for group in method.param_groups() for p in group["params"]}
    assert trained == {id(p) for p in method.networks["student"].parameters()}


@pytest.mark.parametrize("row", ["untrained", *TERMS, "lgc_rct"])
def test_scores_and_maps_have_their_shapes(row):
    method = tiny_method(tiny_plan("lgc_sed", row))
    method.networks.eval()
    inputs = random_batch(method.plan).inputs
    for model in method.models():
        scores = method.scores(model, inputs)
        assert scores["frame"].shape == (10, 15, 10)
        assert scores["clip"].shape == (10, 10)
    maps = method.explain(inputs)
    assert set(maps) == {"student", "teacher", "attention"} | ({"input"} & maps.keys())
    assert ("input" in maps) == (row == "lgc_rct")
    assert torch.equal(maps["teacher"], method.scores("teacher", inputs)["frame"])


def test_maps_show_the_nearest_prototypes_once_there_are_any():
    method, batch, _ = started("lgc")
    method.networks.eval()
    similarity = method.explain(batch.inputs)["prototypes"]
    assert similarity.shape == (10, 15, 11)
    assert similarity.abs().max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("select_on", "key"), [("synth", "synth_validation"), ("real", "validation")]
)
def test_the_checkpoint_is_chosen_by_the_teacher(select_on, key):
    method = tiny_method(tiny_plan("lgc_sed", "lgc", {"select_on": select_on}))
    metrics = {f"{key}/teacher/intersection_f1": 0.3, f"{key}/student/intersection_f1": 0.7}
    assert method.select(metrics) == 0.3


def test_the_last_checkpoint_needs_no_selecting_set():
    plan = tiny_plan("lgc_sed", "lgc", {"select_on": "last"})
    assert [held_out.name for held_out in plan.held_out] == ["validation", "public_eval"]
    assert not any(held_out.selects for held_out in plan.held_out)


@pytest.mark.parametrize("wanted", [False, True])
def test_batch_norm_statistics_are_recomputed_on_request_only(wanted):
    plan = tiny_plan("lgc_sed", "mt", {"network": {"batch_norm_recompute": wanted}})
    method, batch = tiny_method(plan), random_batch(plan)
    method.before_scores(lambda: iter([batch]))
    block = method.networks["student"].cnn.blocks[0]
    spectrum = method.normalised(batch.inputs["mel128"]).transpose(1, 2).unsqueeze(1)
    mean = block.conv(spectrum).mean((0, 2, 3))
    assert torch.allclose(block.norm.running_mean, mean, atol=1e-5) == wanted


def test_mixed_precision_keeps_probabilities_and_losses_in_float32():
    plan = tiny_plan("lgc_sed", "lgc")
    method = method_of("lgc_sed")(plan, steps_per_epoch=2, device=torch.device("cpu"), amp=True)
    batch = random_batch(plan)
    method.on_epoch(Epoch(0, {}, lambda: iter([batch])))
    terms = method.losses(batch, 3)
    assert set(terms) == TERMS["lgc"]
    assert all(t.value.dtype == torch.float32 and torch.isfinite(t.value) for t in terms.values())
    total(terms).backward()
    scores = method.scores("teacher", batch.inputs)["frame"]
    assert (scores != scores.bfloat16().float()).float().mean() > 0.9


def test_a_start_after_the_end_is_warned_of(caplog):
    tiny_method(tiny_plan("lgc_sed", "clc", {"pgc": {"start_epoch": 7}}))
    assert not caplog.records
    tiny_method(tiny_plan("lgc_sed", "lgc", {"pgc": {"start_epoch": 2}}))
    assert "start_epoch 2" in caplog.text


def test_shift_consistency_compares_the_shifted_clip_with_the_shifted_target():
    method, batch, step = started("sct", STEADY)
    with torch.no_grad():
        method.networks["teacher"].heads.frame.bias.add_(1)
    torch.manual_seed(4)
    found = method.losses(batch, step)["sct"]
    torch.manual_seed(4)
    synth, weak = batch.parts["synth"], batch.parts["weak"]
    s = method.settings.mean_teacher
    mixing = mixup.draw(
        10, [weak, synth], alpha=s.mixup_alpha, probability=s.mixup, device=method.device
    )
    moved = shift.draw(10, 22.5, method.device)
    mel = mixing(batch.inputs["mel128"])
    frames = method.plan.grid.frames
    with torch.no_grad():
        teacher = method.networks["teacher"](method.normalised(mel))
        losses = []
        for clip in range(10):
            by = int(moved.frames_later[clip])
            whole = mel[clip, :, : 4 * frames].roll(4 * by, 1)
            shown = torch.cat([whole, mel[clip, :, 4 * frames :]], 1)
            losses.append((shown, teacher.frame[clip].roll(by, 0)))
        shown = method.normalised(torch.stack([clip for clip, _ in losses]))
        student = method.networks["student"](shown)
        target = torch.stack([frame for _, frame in losses])
        expected = F.mse_loss(student.frame, target) + F.mse_loss(student.clip, teacher.clip)
    torch.testing.assert_close(found.value.detach(), expected, rtol=2e-4, atol=1e-7)
    assert found.weight == pytest.approx(2 * math.exp(-5 * (1 - 3 / 4) ** 2))


def test_interpolation_consistency_mixes_unlabelled_clips_and_their_targets():
    method, batch, step = started("ict", {**STEADY, "mean_teacher": {"mixup": 0.0}})
    with torch.no_grad():
        method.networks["teacher"].heads.frame.bias.add_(1)
    torch.manual_seed(4)
    found = method.losses(batch, step)["ict"]
    torch.manual_seed(4)
    parts = [batch.parts["weak"], batch.parts["synth"]]
    mixup.draw(10, parts, alpha=0.2, probability=0.0, device=method.device)
    mixing = mixup.draw(4, [slice(0, 4)], alpha=1.0, probability=1.0, device=method.device)
    mel = batch.inputs["mel128"]
    with torch.no_grad():
        # Batch statistics are of the whole batch, the teacher's pass with them.
        teacher = method.networks["teacher"](method.normalised(mel))
        ratio, order = mixing.ratio[0], mixing.order
        blend = lambda v: ratio * v + (1 - ratio) * v[order]  # noqa: E731
        student = method.networks["student"](method.normalised(blend(mel[6:])))
        expected = F.mse_loss(student.frame, blend(teacher.frame[6:]))
        expected = expected + F.mse_loss(student.clip, blend(teacher.clip[6:]))
    torch.testing.assert_close(found.value.detach(), expected, rtol=2e-4, atol=1e-7)


def test_with_audio_augmentations_only_the_student_sees_them():
    method, batch, step = started("lgc_audio", {**STEADY, "audio": {"masked": [0.2, 0.4]}})
    seen = {"student": [], "teacher": []}
    for name, inputs in seen.items():
        method.networks[name].register_forward_pre_hook(lambda _, x, to=inputs: to.append(x[0]))
    torch.manual_seed(0)
    method.losses(batch, step)
    assert [len(inputs) for inputs in seen.values()] == [2, 1]
    for name, inputs in seen.items():
        for spectra in inputs:
            silent = (spectra.amax(1) == 0).sum(1)  # decibels are lowest where there is nothing
            assert (silent >= 12).all() if name == "student" else (silent == 0).all()


def test_random_consistency_trains_on_three_times_the_batch():
    method, batch, step = started("lgc_rct")
    sizes = []
    for name in ("student", "teacher"):
        method.networks[name].register_forward_pre_hook(lambda _, x: sizes.append(len(x[0])))
    terms = method.losses(batch, step)
    assert sizes == [30, 30, 30]
    assert terms["self_consistency"].weight == terms["mean_teacher"].weight
    assert terms["self_consistency"].value > 0
