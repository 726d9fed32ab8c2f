"""MTDA-HSED: sizes of all rows, groups, masks, aliases, mixup, schedule, a step of every row."""

import copy
import csv
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import ROOT, random_batch, tiny_method, tiny_plan
from torch.nn import functional as F

from sedrepro import tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.miniature import weights as look
from sedrepro.networks.beats import Beats, CachedLayers, Config, PartialForward
from sedrepro.networks.pretrained import FrozenEncoder
from sedrepro.objectives import mixup
from sedrepro.objectives.aliases import overwritten
from sedrepro.objectives.warp import warped
from sedrepro.papers import method_of, settings_models
from sedrepro.papers.mtda_hsed.settings import Settings
from sedrepro.settings import Grid, Layout, Run, load, plan
from sedrepro.settings.classes import DESED_CLASSES, MAESTRO_CLASSES
from sedrepro.settings.project import Row
from sedrepro.store import writing
from sedrepro.training.data import Loader, Pool

CRNN = 1_785_094
FUSED = 57_600 + 2 * 131_584
SIZES = {
    "baseline_coherent": CRNN,
    "mona": CRNN + 24 * 111_872,
    "adapter": CRNN + 24 * 99_136,
    "act_net": CRNN + 12 * 202_726,
    "m3a": CRNN + 12 * 2_657_474,
    "m3a_long": CRNN + 12 * 2_361_601,
    "m3a_short": CRNN + 12 * 295_873,
    "m3a_sequential": CRNN + 12 * 2_657_474,
    "dbmf": CRNN + FUSED,
    "dbmf_1": CRNN + 131_584,
    "dbmf_2": CRNN + 57_600 + 131_584,
    "mtda_hsed": CRNN + 12 * 2_657_474 + FUSED,
    "atst_sed_stage1": 612_688 + 114_816 + 494_592 + 13_878,
    "atst_sed": 612_688 + 114_816 + 494_592 + 13_878,  # and the transformer's 85,419,264
}
STEADY = {"network": {"dropout": 0.0, "merge_dropout": 0.0, "drop_steps": "none"}}
ROWS = list(SIZES)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for name in ("beats", "atst_frame"):
        look.write(folder / name, look.content(name, 7))
    return {name: folder / name for name in ("beats", "atst_frame")}


def ready(row, files, changes=None, classes=None, **options):
    method = tiny_method(tiny_plan("mtda_hsed", row, changes, classes=classes), **options)
    method.load_weights(files)
    method.networks.train()
    return method, random_batch(method.plan)


def test_every_row_has_its_size(root):
    models = settings_models()
    project = load(papers=models, root=root)
    rows = project.papers["mtda_hsed"].table
    assert set(SIZES) == {name for name, row in rows.items() if row.kind == "train"}
    for row, size in SIZES.items():
        planned = plan(project, Run("mtda_hsed", row, "hetero", 42), models["mtda_hsed"])
        method = object.__new__(method_of("mtda_hsed", planned.method))
        method.plan = planned
        method.settings = method.plan.settings
        with torch.device("meta"):
            (student,) = method.build().values()
        assert sum(p.numel() for p in student.parameters()) == size, row
        assert all(p.requires_grad for p in student.parameters())
    with torch.device("meta"):
        frozen = Beats(Config())
    assert sum(p.numel() for p in frozen.parameters()) == 90_311_792


def test_differences_measure_the_modules_alone(root):
    """What every module row is compared with differs from it by the module, and by nothing else."""
    project, model = load(papers=settings_models(), root=root), settings_models()["mtda_hsed"]
    spec = project.papers["mtda_hsed"]

    def settings(row):
        made = plan(project, Run("mtda_hsed", row, "hetero", 42), model).settings
        return made.model_dump(mode="json")

    reference = settings(spec.baseline)
    modules = [row for row in SIZES if not row.startswith(("baseline", "atst"))]
    for row in modules:
        own = settings(row)
        assert {key for key in own if own[key] != reference[key]} <= {"adapter", "dbmf", "encoder"}
        assert own["encoder"] == reference["encoder"] | {"cached": False}
    assert spec.baseline in spec.headline
    published = settings("baseline")
    assert {key for key in published if published[key] != reference[key]} == {"mixup"}
    for name, table in spec.tables.items():  # boxes are compared with the row's own medians
        assert table.rows is None or spec.baseline in table.rows or name == "boxes"


def test_the_batch_is_the_baselines(root):
    project = load(papers=settings_models(), root=root)
    models = settings_models()
    planned = plan(project, Run("mtda_hsed", "m3a", "hetero", 42), models["mtda_hsed"])
    assert [stream.group for stream in planned.streams] == [12, 6, 6, 12, 24]
    assert [stream.name for stream in planned.streams] == [
        *("maestro", "synth", "strong", "weak", "unlabelled")
    ]
    assert [s.name for s in planned.streams[2].subsets] == ["strong_real", "synth_train"]
    assert planned.classes == [*DESED_CLASSES, *MAESTRO_CLASSES]
    assert planned.grid.frames == 156
    assert planned.grid.seconds == 0.064
    sizes = [6750, 10000, 13470, 1420, 14412]  # clips of the streams when all are there

    class Clips(SimpleNamespace):
        def __len__(self):
            return self.clips

    pools = [
        Clips(stream=s, group=s.group, clips=n) for s, n in zip(planned.streams, sizes, strict=True)
    ]
    loader = object.__new__(Loader)
    loader.pools = pools
    assert loader._shortest() == 118
    pools[3].clips = 600  # the epoch follows the weak clips that are there
    assert loader._shortest() == 50


@pytest.mark.parametrize("overlap", ["last", "largest"])
def test_labels_of_maestro_that_meet_in_a_frame(overlap, root, tmp_path):
    """The recipe writes one row over the other; frames of 64 ms do not end with the second."""
    project, model = load(papers=settings_models(), root=root), settings_models()["mtda_hsed"]
    settings = plan(project, Run("mtda_hsed", "baseline", "hetero", 42), model).settings
    assert settings.label_overlap == "last"
    settings = settings.model_copy(update={"label_overlap": overlap})
    stream = replace(settings.streams()[0], inputs=("wave16k",))
    assert [one.overlap for one in settings.streams()[1:]] == ["largest"] * 4  # of DESED all are 1
    layout, home = Layout(str(tmp_path / "data"), str(tmp_path / "results")), stream.subsets[0]
    clips = tables.clip_table([Clip("w", "train", 10.0, "train", "w.wav")])
    rows = [("w", "car", 0.0, 1.0, 0.9), ("w", "car", 1.0, 2.0, 0.2)]
    tables.write(layout.table(home, "clips"), clips, tables.CLIPS)
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    tables.write(layout.table(home, "events"), events, tables.EVENTS)
    store = Path(layout.store(home, "wave16k"))
    store.parent.mkdir(parents=True)
    with writing(store, shape=(4,), dtype="float32", attributes={}) as stored:
        stored.add("w", 10.0, np.zeros(4))
    planned = SimpleNamespace(grid=Grid(156, 0.064), classes=["car"])
    targets = Pool(stream, planned, layout).frames[0, :, 0]
    assert targets[14:17].tolist() == pytest.approx([0.9, 0.2 if overlap == "last" else 0.9, 0.2])


def parameters_of(method):
    return [p for group in method.param_groups() for p in group["params"]]


def part_of(name):
    """`cnn`, `heads`, …; of adapters, fusions and the transformer each block by itself."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] in ("adapters", "fusions") else parts[0]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_takes_a_step(row, files):
    method, batch = ready(row, files)
    optimiser = torch.optim.Adam(method.param_groups())
    trained = {id(p) for p in method.networks["student"].parameters() if p.requires_grad}
    assert {id(p) for p in parameters_of(method)} == trained
    frozen = method.frozen and copy.deepcopy(method.frozen.state_dict())
    before = copy.deepcopy(method.networks["student"].state_dict())
    for step in (1, 2):
        terms = method.losses(batch, step)
        assert set(terms) == {"strong", "weak", "mean_teacher"}
        total = sum(term.weight * term.value for term in terms.values())
        optimiser.zero_grad()
        total.backward()
        assert torch.isfinite(total)
        optimiser.step()
    missing = [p for p in parameters_of(method) if p.grad is None]
    assert not missing
    after = method.networks["student"].state_dict()
    moved = {part_of(name) for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {part_of(name) for name in after}
    assert all(p.grad is None for p in method.networks["teacher"].parameters())
    if frozen:
        for name, value in method.frozen.state_dict().items():
            assert torch.equal(value, frozen[name])


@pytest.mark.parametrize("row", ["baseline", "m3a", "mtda_hsed"])
def test_classes_of_ones_own_take_a_step(row, files):
    method, batch = ready(row, files, classes=["Heron", "Bittern", "Owl"])
    assert method.plan.classes == ["Heron", "Bittern", "Owl", *MAESTRO_CLASSES]
    assert method.valid(batch).sum(1).tolist() == [17] * 3 + [3] * 9
    assert torch.equal(method.aliased(batch), batch.frames)
    total = sum(term.weight * term.value for term in method.losses(batch, 1).values())
    total.backward()
    assert torch.isfinite(total)
    heads = method.networks["student"].heads.frame
    assert heads.weight.grad[:3].abs().sum(1).min() > 0


def test_aliases_and_shared_go_by_the_runs_own_names(files):
    changes = {
        "aliases": {"Heron": ["birds_singing"], "Speech": ["announcement"]},
        "shared": ["Owl", "Speech"],
    }
    method, batch = ready("baseline", files, changes, classes=["Bittern", "Heron", "Owl"])
    birds = method.plan.classes.index("birds_singing")
    batch.frames[:3, :, birds] = 0.25
    wanted = batch.frames.clone()
    wanted[:3, :, 1] = 0.25
    assert torch.equal(method.aliased(batch), wanted)
    assert method.valid(batch)[0, :3].tolist() == [False, False, True]


def test_classes_that_maestro_has_too_are_refused():
    with pytest.raises(
        SedreproError, match=r": data\.desed\.classes has car, footsteps: MAESTRO's"
    ):
        tiny_plan("mtda_hsed", "baseline", classes=["car", "Owl", "footsteps"])


def test_they_are_no_matter_to_another_paper_and_refused_when_a_row_is_planned():
    models, overlay = (
        settings_models(),
        {"run": ["lgc_sed"], "data": {"desed": {"classes": ["car"]}}},
    )
    project = load(overlay, papers=models, root=ROOT)
    with pytest.raises(SedreproError, match=r"^--config: papers\.mtda_hsed: row baseline: .* car"):
        plan(project, Run("mtda_hsed", "baseline", "hetero", 1), models["mtda_hsed"])


def test_adapters_learn_at_a_tenth_of_the_rate(files):
    method, _ = ready("mtda_hsed", files)
    slow, fast = sorted(method.param_groups(), key=lambda group: group["lr"])
    assert (slow["lr"], fast["lr"]) == (1e-4, 1e-3)
    assert {id(p) for p in slow["params"]} == {
        id(p) for p in method.networks["student"].adapters.parameters()
    }


def test_step_0_of_adapter_rows_is_frozen_beats(files):
    outputs = []
    for row in ("m3a", "mona", "adapter", "act_net"):
        method, batch = ready(row, files, STEADY)
        method.networks.eval()
        with torch.no_grad():
            spectra = method.frozen.spectrum(batch.inputs["wave"])
            adapted = PartialForward(
                method.frozen.encoder, spectra, method.networks["student"].adapters
            )
            outputs.append(adapted.to(2))
            torch.testing.assert_close(
                outputs[-1], PartialForward(method.frozen.encoder, spectra).to(2)
            )
    assert all(torch.equal(one, outputs[0]) for one in outputs)


def test_frozen_blocks_are_computed_once_for_student_and_teacher(files):
    method, batch = ready("dbmf", files, STEADY)
    method.networks.eval()
    given = method.linear(batch.inputs)
    assert isinstance(given["encoding"], CachedLayers)
    walk = PartialForward(method.frozen.encoder, method.frozen.spectrum(batch.inputs["wave"]))
    with torch.no_grad():
        torch.testing.assert_close(
            method.detect("student", given).frame,
            method.networks["student"](*method.read(given), walk).frame,
        )


def test_masks_and_aliases_by_name(files):
    method, batch = ready("baseline", files)
    place = {name: k for k, name in enumerate(method.plan.classes)}
    valid = method.valid(batch)
    for clip in range(len(valid)):
        maestro = clip < 3
        wanted = {*MAESTRO_CLASSES, "Speech", "Dog", "Dishes"} if maestro else set(DESED_CLASSES)
        assert {name for name, k in place.items() if valid[clip, k]} == wanted
    assert valid.sum(1).tolist() == [20] * 3 + [10] * 9
    batch.frames.zero_()
    for name, value in (
        ("people talking", 0.5),
        ("children voices", 0.3),
        ("announcement", 0.4),
        ("cutlery and dishes", 0.7),
    ):
        batch.frames[:, 4, place[name]] = value
    frames = method.aliased(batch)
    assert frames[:3, 4, place["Speech"]].tolist() == pytest.approx([0.4] * 3)  # soft, the last
    assert frames[:3, 4, place["Dishes"]].tolist() == pytest.approx([0.7] * 3)
    assert torch.equal(frames[3:], batch.frames[3:])
    changed = (frames != batch.frames).nonzero()
    assert {int(k) for k in changed[:, 2]} == {place["Speech"], place["Dishes"]}


@pytest.mark.parametrize("overlap", ["last", "largest"])
def test_several_aliases_in_a_frame(overlap, files):
    """Rows one after the other as the baseline's code encodes them; or each frame's largest."""
    method, batch = ready("baseline", files, {"alias_overlap": overlap})
    place = {name: k for k, name in enumerate(method.plan.classes)}
    aliases = ["people talking", "children voices", "announcement"]
    confidences = [0.0, 0.25, 0.5, 1.0]  # 0: no row; so few that they often repeat
    draw = torch.Generator().manual_seed(3)
    chosen = torch.randint(4, (3, batch.frames.shape[1], 3), generator=draw)
    batch.frames.zero_()
    wanted = torch.zeros(chosen.shape[:2])
    for clip in range(3):
        rows = []
        for column, alias in enumerate(aliases):
            for frame, which in enumerate(chosen[clip, :, column].tolist()):
                batch.frames[clip, frame, place[alias]] = confidences[which]
                row = (frame, frame + 1, "Speech", confidences[which])
                if which and row not in rows:
                    rows.append(row)
        for frame, _, _, confidence in rows:
            old = float(wanted[clip, frame])
            wanted[clip, frame] = confidence if overlap == "last" else max(old, confidence)
    assert torch.equal(method.aliased(batch)[:3, :, place["Speech"]], wanted)
    assert overlap == "largest" or (wanted < batch.frames[:3].amax(-1)).any()


def test_an_alias_that_repeats_an_earlier_one_is_dropped():
    said = torch.tensor([[0.0, 0.5, 0.3, 0.5], [0.0, 0.5, 0.3, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert overwritten(said).tolist() == pytest.approx([0.3, 0.3, 0.0])


def test_every_row_keeps_the_baselines_aliases(root):
    project = load(papers=settings_models(), root=root)
    for row in ROWS:
        made = plan(project, Run("mtda_hsed", row, "hetero", 42), settings_models()["mtda_hsed"])
        assert made.settings.alias_overlap == "last", row


def db(mel):
    shown = (20 * torch.log10(mel.clamp(min=1e-5))).clamp(-50, 80)
    low, high = shown.amin((1, 2), keepdim=True), shown.amax((1, 2), keepdim=True)
    return 2 * (shown - low) / (high - low + 1e-8) - 1


def test_losses_are_the_definition(files):
    quiet = STEADY | {"mixup": {"probability": 0.0}}
    method, batch = ready("mtda_hsed", files, quiet)
    with torch.no_grad():
        for parameter in method.networks["teacher"].parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    reference = copy.deepcopy(method.networks)
    terms = method.losses(batch, 3)
    wave, beats = batch.inputs["wave"], method.frozen.encoder
    fbank = method.frozen.spectrum(wave)
    valid, y = method.valid(batch), method.aliased(batch)

    def run(name):
        walk = PartialForward(beats, fbank, reference[name].adapters)
        return reference[name](db(method.mel(wave)), walk, valid)

    s, t = run("student"), run("teacher")
    strong = weak = 0.0
    for clip in range(7):  # MAESTRO, synthetic, strong
        for k in range(27):
            if valid[clip, k]:
                strong += F.binary_cross_entropy(
                    s.frame[clip, :, k], y[clip, :, k], reduction="sum"
                )
    for clip in (7, 8):
        for k in range(10):
            weak += F.binary_cross_entropy(s.clip[clip, k], batch.clips[clip, k])
    # Entries that are not valid cost nothing and count in the mean.
    torch.testing.assert_close(terms["strong"].value, strong / (7 * 15 * 27))
    torch.testing.assert_close(terms["weak"].value, weak / (2 * 27))
    agree = (s.frame[3:] - t.frame[3:]).square().mean() + (s.clip[3:] - t.clip[3:]).square().mean()
    torch.testing.assert_close(terms["mean_teacher"].value, agree)
    assert terms["mean_teacher"].weight == pytest.approx(2 * math.exp(-5 * (1 - 3 / 4) ** 2))
    assert terms["strong"].weight == terms["weak"].weight == 1


def mixed(values, drawn):
    return torch.stack(
        [
            drawn.ratio[i] * values[i] + (1 - drawn.ratio[i]) * values[drawn.order[i]]
            for i in range(len(values))
        ]
    )


def recorded(monkeypatch) -> list[mixup.Mixing]:
    """Every mixing that is drawn from now on."""
    drawn = []
    draw = mixup.draw
    monkeypatch.setattr(mixup, "draw", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1])
    return drawn


@pytest.mark.parametrize("kind", ["coherent", "baseline", "spectra"])
def test_mixup_of_each_kind(kind, files, monkeypatch):
    changes = {"mixup": {"probability": 1.0}}
    changes["mixup"]["kind"] = kind
    method = tiny_method(tiny_plan("mtda_hsed", "baseline", None))
    object.__setattr__(
        method,
        "settings",
        method.settings.model_copy(
            update={"mixup": method.settings.mixup.model_copy(update=changes["mixup"])}
        ),
    )
    batch = random_batch(method.plan)
    drawn = recorded(monkeypatch)
    seen = method.seen(batch)
    one = drawn[0]
    assert len(drawn) == (2 if kind == "baseline" else 1)
    for mixing in drawn:  # only within MAESTRO, within strong and within weak clips
        for kind_of_clip in (slice(0, 3), slice(3, 7), slice(7, 9)):
            places = list(range(12))[kind_of_clip]
            assert sorted(mixing.order[kind_of_clip].tolist()) == places
    mel, tokens = method.mel(batch.inputs["wave"]), batch.inputs["tokens"]
    frames = method.aliased(batch)
    torch.testing.assert_close(seen.mel, mixed(mel, one))
    assert torch.equal(seen.mel[9:], mel[9:])  # unlabelled clips never mix
    if kind == "coherent":
        torch.testing.assert_close(seen.encoder_input, mixed(tokens, one))
        torch.testing.assert_close(seen.frames, mixed(frames, one))
        torch.testing.assert_close(seen.clips, mixed(batch.clips, one))
    elif kind == "spectra":
        assert torch.equal(seen.encoder_input, tokens)
        torch.testing.assert_close(seen.frames, mixed(frames, one))
    else:
        other = drawn[1]
        assert not torch.equal(one.ratio, other.ratio)
        torch.testing.assert_close(seen.encoder_input, mixed(tokens, other))
        torch.testing.assert_close(seen.frames, mixed(mixed(frames, one), other))
        assert torch.equal(seen.clips, (mixed(mixed(batch.clips, one), other) > 0).float())


def test_waveforms_are_mixed_before_the_filter_bank(files, monkeypatch):
    method, batch = ready("m3a", files, {"mixup": {"probability": 1.0}})
    drawn = recorded(monkeypatch)
    seen = method.seen(batch)
    (one,) = drawn
    torch.testing.assert_close(seen.encoder_input, mixed(batch.inputs["wave"], one))
    torch.testing.assert_close(seen.mel, mixed(method.mel(batch.inputs["wave"]), one))


def test_the_schedule_rises_holds_and_falls(root):
    project = load(papers=settings_models(), root=root)
    model = settings_models()["mtda_hsed"]
    method = object.__new__(method_of("mtda_hsed"))
    method.settings = plan(project, Run("mtda_hsed", "baseline", "hetero", 42), model).settings
    method.steps_per_epoch = 118
    assert method.rate(99) == pytest.approx(math.exp(-5 * (1 - 100 / 5900) ** 2))
    assert method.rate(5899) == method.rate(11799) == 1.0
    middle = 11800 + (35400 - 11800) // 2
    assert method.rate(middle - 1) == pytest.approx(math.cos(math.pi / 4))
    assert method.rate(35399) == pytest.approx(1e-5)
    assert method.consistency_weight(5900) == method.consistency_weight(20000) == 2.0
    assert method.decay(1) == 0.5
    assert method.decay(5000) == 0.999


def test_validation_masks_clip_scores_and_tests_do_not(files):
    method, batch = ready("baseline", files)
    method.networks.eval()
    with torch.no_grad():
        scores = method.scores("teacher", batch.inputs)
        given = method.linear(batch.inputs)
        free = method.detect("teacher", given)
        desed = method.in_desed.expand(len(batch.clips), -1)
        masked = method.detect("teacher", {**given, "valid": desed})
    torch.testing.assert_close(scores["frame"], free.frame)
    torch.testing.assert_close(scores["clip"], free.clip)
    torch.testing.assert_close(scores["clip_desed"], masked.clip)
    assert not torch.allclose(scores["clip_desed"][:, :10], scores["clip"][:, :10])
    metrics = {
        "weak/student/weak_f1": 0.2,
        "synth_validation/student/intersection_f1": 0.3,
        "maestro_held_out/student/segment_f1_best": 0.4,
    }
    assert method.select(metrics) == pytest.approx(0.9)


def test_maps_for_the_figures(files):
    method, batch = ready("mtda_hsed", files)
    method.networks.eval()
    with torch.no_grad():
        maps = method.explain(batch.inputs)
    n = len(batch.clips)
    assert maps["input"].shape == (n, 16, 63)
    assert maps["long"].shape == maps["short"].shape == (n, 8, 6)
    assert maps["cnn_map"].shape == (n, 1, 15)
    # The branches add nothing before they have learned something.
    assert maps["long"].abs().max() == maps["short"].abs().max() == 0
    assert not method.networks["teacher"].adapters[-1].long._forward_hooks


def test_weights_of_another_depth_are_refused(files):
    method = tiny_method(tiny_plan("mtda_hsed", "m3a", {"encoder": {"depth": 5}}))
    with pytest.raises(SedreproError, match=r"has 2 blocks; encoder.depth says 5"):
        method.load_weights(files)
    with pytest.raises(SedreproError, match="tokens have 24 values"):
        FrozenEncoder("beats", files["beats"], 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapter": {"kind": "m3a"}}, "encoder.cached must be off"),
        ({"adapter": {"kind": "m3a", "long": 0, "short": 0}}, "long or a short branch"),
        (
            {"encoder": {"cached": False}, "dbmf": {"use": True, "stages": [[3, 4], [2, 8]]}},
            "go upwards",
        ),
        ({"encoder": {"cached": False}, "dbmf": {"use": True, "stages": [[9, 4]]}}, "7 CNN blocks"),
        (
            {"aliases": {"Speech": ["announcement", "people taking"]}},
            r"MAESTRO has no class 'people taking' \(did you mean people talking\?\)",
        ),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings.model_validate(changes)


def test_published_values_belong_to_cells_that_are_printed(root):
    spec = load(papers=settings_models(), root=root).papers["mtda_hsed"]
    with open(root / "config/papers/mtda_hsed/published.csv", newline="") as handle:
        lines = [line for line in csv.DictReader(handle) if line["published"]]
    for line in lines:
        table = spec.tables[line["table"]]
        assert line["row"] in (table.rows or spec.table)
        cells = {(c.set, c.model, c.metric, c.implementation) for c in table.columns}
        assert (line["set"], line["model"], line["metric"], line["implementation"]) in cells
    theirs = {
        line["metric"]: line["published"] for line in lines if line["row"] == "atst_sed_desed"
    }
    assert theirs == {"psds1": "0.583", "psds2": "0.810"}


def test_rows_of_our_making_say_so(root):
    rows = load(papers=settings_models(), root=root).papers["mtda_hsed"].table
    exact = {"untrained", "baseline", "baseline_coherent"}
    own = {name for name, row in rows.items() if row.kind != "published"} - exact
    assert {name for name, row in rows.items() if row.reconstructed} == own
    assert all("reconstructed" in rows[name].label for name in own)
    with pytest.raises(ValueError, match="'M3A' of a reconstructed row must say"):
        Row(label="M3A", reconstructed=True)


# ATST-SED


def test_atst_sed_draws_and_decodes_as_its_recipe(root):
    model, overlay = settings_models()["mtda_hsed"], [root / "config/mini.yaml"]
    full, mini = (load(papers=settings_models(), files=files, root=root) for files in ([], overlay))
    stage_2 = [6, 20, 7, 4, 7, 6, 6, 6, 6, 6]
    own = plan(full, Run("mtda_hsed", "baseline", "hetero", 42), model)
    for row, groups, windows in (
        ("atst_sed_stage1", [24, 12, 12, 24, 48], [7] * 10),
        ("atst_sed", [24, 24, 24, 48, 48], stage_2),
    ):
        planned = plan(full, Run("mtda_hsed", row, "hetero", 42), model)
        assert [stream.group for stream in planned.streams] == groups
        named = {stream.name: [s.name for s in stream.subsets] for stream in planned.streams}
        assert named["strong"] == ["strong_real"]
        assert named["synth"] == ["synth_train"]
        found = planned.settings.decoding.windows(planned.classes)
        assert found[:10] == windows
        assert found[10:] == own.settings.decoding.windows(own.classes)[10:]
        small = plan(mini, Run("mtda_hsed", row, "hetero", 42), model)
        assert set(small.settings.decoding.windows(small.classes)) == {3}


def test_stage_1_trains_all_but_the_transformer(files):
    method, batch = ready("atst_sed_stage1", files, {"encoder": {"cached": False}})
    student = method.networks["student"]
    transformer = {id(parameter) for parameter in student.transformer.parameters()}
    rest = {id(parameter) for parameter in student.parameters()} - transformer
    assert {id(p) for group in method.param_groups() for p in group["params"]} == rest
    sum(term.weight * term.value for term in method.losses(batch, 1).values()).backward()
    moved = {id(parameter) for parameter in student.parameters() if parameter.grad is not None}
    assert moved == rest


def test_stage_2_starts_from_stage_1_but_for_its_transformer(files):
    first, _ = ready("atst_sed_stage1", files)
    second, _ = ready("atst_sed", files, seed=9)
    kept = {k: v.clone() for k, v in second.networks["student"].transformer.state_dict().items()}
    states = {name: net.state_dict() for name, net in first.networks.items()}
    second.start_from(states)
    own = second.networks["teacher"].state_dict()
    assert all(torch.equal(own[k], v) for k, v in states["teacher"].items())
    transformer = second.networks["student"].transformer
    assert all(torch.equal(transformer.state_dict()[k], v) for k, v in kept.items())
    assert transformer.blocks[0].mlp.fc1.weight.requires_grad
    assert not transformer.mask_embed.requires_grad
    states["student"].pop("rnn.weight_hh_l0")
    with pytest.raises(SedreproError, match="does not fit"):
        second.start_from(states)


def test_stage_2_slows_down_block_by_block(files):
    method, _ = ready("atst_sed", files)
    rate = {id(p): group["lr"] for group in method.param_groups() for p in group["params"]}
    student = method.networks["student"]
    transformer = student.transformer
    assert rate[id(student.cnn.blocks[0].conv.weight)] == pytest.approx(2e-4)
    assert rate[id(student.heads.frame.weight)] == pytest.approx(2e-3)
    for part, k in (
        (transformer.norm_frame.weight, 0),
        (transformer.blocks[1].mlp.fc1.weight, 1),
        (transformer.blocks[0].mlp.fc1.weight, 2),
        (transformer.patch_embed.patch_embed.weight, 3),
        (transformer.pos_embed, 3),
    ):
        assert rate[id(part)] == pytest.approx(2e-4 * 0.5**k)
    assert method.decay(1) == 0.999
    steps = method.steps_per_epoch
    assert method.rate(steps - 1) == 1.0
    assert method.rate(5 * steps - 1) == pytest.approx(0.1)
    assert method.rate(3 * steps - 1) == pytest.approx(0.55)


def test_stage_2_follows_the_mixture_of_what_the_teacher_said(files):
    quiet = STEADY | {"mixup": {"probability": 1.0}, "atst": {"warp": 0.0}}
    method, batch = ready("atst_sed", files, quiet)
    for module in method.networks.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    reference = copy.deepcopy(method.networks)
    torch.manual_seed(4)
    value = method.losses(batch, 2)["mean_teacher"].value
    torch.manual_seed(4)
    torch.rand(())
    kinds = [slice(0, 3), slice(3, 7), slice(7, 9), slice(9, 12)]
    one = mixup.draw(
        12, kinds, alpha=0.2, probability=1.0, device=torch.device("cpu"), fires=torch.tensor(True)
    )
    wave = batch.inputs["wave"]
    mel, spectra, valid = method.mel(wave), method.front(wave), method.valid(batch)

    def run(name, mel, spectra):
        network = reference[name]
        tokens = F.adaptive_avg_pool1d(network.transformer(spectra).mT, 15).mT
        return network(db(mel), tokens, valid)

    s, t = run("student", mixed(mel, one), mixed(spectra, one)), run("teacher", mel, spectra)
    frame, clip = mixed(t.frame, one), mixed(t.clip, one)
    wanted = sum(
        (s.frame[g] - frame[g]).square().mean() + 0.5 * (s.clip[g] - clip[g]).square().mean()
        for g in (slice(0, 7), slice(7, 9), slice(9, 12))
    )
    torch.testing.assert_close(value, wanted / 24)


def test_a_warp_stretches_a_band():
    ramp = torch.linspace(0, 1, 64)[None, :, None].expand(4, 64, 9).clone()
    torch.manual_seed(2)
    seen = warped(ramp, [slice(0, 2), slice(2, 4)], True)
    for group in (slice(0, 2), slice(2, 4)):
        low, high = seen[group, 0].min(), seen[group, -1].max()
        assert 0.55 < high - low < 1.0
        assert (seen[group].diff(dim=1) > 0).all()
    assert not torch.equal(seen[0], seen[2])
    assert torch.equal(warped(ramp, [slice(0, 4)], False), ramp)
