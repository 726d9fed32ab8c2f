"""Networks of audio-visual event localization against their equations; every row at work."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from tiny import ROOT

from sedrepro.metrics.segments import accuracy, share
from sedrepro.papers import method_of, settings_models
from sedrepro.papers.contract import Batch
from sedrepro.papers.dmsf_avel.localiser import Sizes, Target, with_background
from sedrepro.papers.dmsf_avel.method import KINDS, NETWORK
from sedrepro.papers.dmsf_avel.settings import Settings
from sedrepro.settings import Run, load, plan

PAPER = "dmsf_avel"
ROWS = [
    name
    for name, row in yaml.safe_load((ROOT / f"config/papers/{PAPER}/paper.yaml").read_text())[
        "table"
    ].items()
    if row.get("kind", "train") == "train"
]
SMALL = {"width": 16, "heads": 2, "agva_hidden": 12, "state": 4, "lstm": 8}


def network(kind, supervision="full", **net):
    settings = Settings(network={"kind": kind, **net}, supervision=supervision)
    torch.manual_seed(0)
    return KINDS[kind](Sizes(512, 128, 29), settings).eval()


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("kind", "net", "parameters"),
    [
        ("avel", {"agva": "repo"}, 1_335_246),
        ("dmrn", {"agva": "repo"}, 1_571_150),
        ("linear", {"agva": "mean"}, (512 + 128) * 29 + 29),
    ],
)
def test_baselines_have_the_released_size(kind, net, parameters):
    assert size(network(kind, **net)) == parameters


@pytest.mark.parametrize(("width", "millions"), [(256, 4), (512, 15), (1024, 58)])
def test_the_reconstruction_has_the_planned_size(width, millions):
    assert math.floor(size(network("dmsf", width=width)) / 1e6) == millions


# --- PSP against its equations -------------------------------------------------------------------


def propagated(similarity, values, threshold, again):
    """Rows divided by their sum, pruned, divided again: loops over the seconds."""
    out = torch.zeros(len(similarity), values.shape[1])
    for i, row in enumerate(similarity):
        shares = [v.item() / (row.sum().item() + 1e-8) for v in row]
        shares = [v if v > threshold else 0.0 for v in shares]
        total = sum(shares) + 1e-8 if again else 1.0
        for j, v in enumerate(shares):
            out[i] += v / total * values[j]
    return out


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_psp_equals_its_equations(supervision):
    threshold = 0.095 if supervision == "weak" else 0.099
    psp = network("psp", supervision, agva="repo", threshold=threshold)
    torch.manual_seed(1)
    visual, audio = torch.randn(1, 10, 49, 512), torch.randn(1, 10, 128)
    m = {name: layer.weight for name, layer in psp.maps.items()}
    with torch.no_grad():
        found = psp(visual, audio)
        a = audio
        if supervision == "full":
            a = a @ psp.audio_in[0].weight.T @ psp.audio_in[1].weight.T
        seen, _ = psp.agva(visual, a)
        if supervision == "full":
            seen = seen @ psp.visual_in[0].weight.T @ psp.visual_in[1].weight.T
        else:
            seen = seen @ psp.visual_in.weight.T + psp.visual_in.bias
        v, a = psp.visual_lstm(seen)[0][0], psp.audio_lstm(a)[0][0]
        v1, v2 = (torch.relu(v @ m[f"visual_{k}"].T) for k in (1, 2))
        a1, a2 = (torch.relu(a @ m[f"audio_{k}"].T) for k in (1, 2))
        s = torch.relu(v2 @ a1.T / 16)
        again = supervision == "full"
        v, a = v + propagated(s, a2, threshold, again), a + propagated(s.T, v1, threshold, again)
        if again:
            v, a = torch.relu(v @ m["visual_out"].T), torch.relu(a @ m["audio_out"].T)

        def norm(x):
            centred = x - x.mean(-1, keepdim=True)
            return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()

        v, a = norm(v), norm(a)
        z = torch.relu((v + a) / 2 @ psp.hidden.weight.T) @ psp.out.weight.T
        if supervision == "weak":
            z = z * torch.sigmoid(torch.relu(z @ psp.gate.weight.T))
            assert torch.sigmoid(torch.relu(z)).min() >= 0.5
    torch.testing.assert_close(found["logits"][0], z, rtol=1e-4, atol=1e-5)
    cosine = (v * a).sum(-1) / (v.norm(dim=-1) * a.norm(dim=-1))
    torch.testing.assert_close(found["cosine"][0], cosine, rtol=1e-4, atol=1e-5)


def test_psp_rows_without_a_similar_second_pass_unchanged():
    assert propagated(torch.zeros(3, 3), torch.ones(3, 2), 0.1, True).abs().max() == 0


# --- the other networks against theirs -----------------------------------------------------------


def linear(layer, x):
    y = x @ layer.weight.T
    return y if layer.bias is None else y + layer.bias


def released_attention(agva, visual, audio):
    """Weights over the places of each second: the i-th guide value goes to all of place i."""
    weights = torch.zeros(visual.shape[:2])
    for t, (places, sound) in enumerate(zip(visual, audio, strict=True)):
        guide = torch.relu(linear(agva.audio, sound)) @ agva.guide.weight.T
        energy = torch.relu(linear(agva.visual, places)) @ agva.place.weight.T
        score = [
            agva.score.weight[0] @ torch.tanh(energy[i] + guide[i]) for i in range(len(energy))
        ]
        weights[t] = torch.softmax(torch.stack(score), 0)
    return weights


@pytest.mark.parametrize("kind", ["avel", "dmrn"])
@torch.no_grad()
def test_avel_and_dmrn_equal_their_equations(kind):
    net = network(kind, agva="repo")
    torch.manual_seed(1)
    visual, audio = torch.randn(10, 49, 512), torch.randn(10, 128)
    found = net(visual[None], audio[None])
    alpha = released_attention(net.agva, visual, audio)
    seen = torch.stack([sum(alpha[t, i] * visual[t, i] for i in range(49)) for t in range(10)])
    v, a = net.visual_lstm(seen[None])[0][0], net.audio_lstm(audio[None])[0][0]
    if kind == "avel":
        joint = torch.relu(torch.cat([a, v], 1))
        z = linear(net.out, torch.relu(linear(net.hidden, joint)))
    else:
        moved = [
            linear(move[2], torch.tanh(linear(move[0], x)))
            for move, x in ((net.move_visual, v), (net.move_audio, a))
        ]
        m = sum(moved) / 2
        z = linear(net.out, (torch.tanh(v + m) + torch.tanh(a + m)) / 2)
    assert v.shape == a.shape == (10, 256)
    torch.testing.assert_close(found["attention"][0], alpha, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["logits"][0], z, rtol=1e-4, atol=1e-5)


def attended(attention, query, memory, heads):
    """Multi-head attention (second, 256), head by head and second by second."""
    wq, wk, wv = attention.in_proj_weight.chunk(3)
    bq, bk, bv = attention.in_proj_bias.chunk(3)
    q, k, v = query @ wq.T + bq, memory @ wk.T + bk, memory @ wv.T + bv
    out, size = torch.zeros_like(q), 256 // heads
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for t in range(len(q)):
            share = torch.softmax(k[:, part] @ q[t, part] / size**0.5, 0)
            out[t, part] = share @ v[:, part]
    return linear(attention.out_proj, out)


def normed(norm, x):
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
    return centred / deviation * norm.weight + norm.bias


def residual(layer, x, memory):
    x = normed(layer.norm, x + attended(layer.attention, x, memory, 4))
    enter, leave = layer.layers[0], layer.layers[-1]
    return normed(layer.leave, x + linear(leave, torch.relu(linear(enter, x))))


@pytest.mark.parametrize(("supervision", "heads"), [("full", 4), ("weak", 2)])
@torch.no_grad()
def test_cmran_equals_its_equations(supervision, heads):
    net = network("cmran", supervision, relation_heads=heads)
    torch.manual_seed(1)
    visual, audio = torch.randn(10, 49, 512), torch.randn(10, 128)
    for part in net.modules():  # norms as trained ones are
        if isinstance(part, torch.nn.LayerNorm):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.uniform_(part.bias, -0.5, 0.5)
    found, at = net(visual[None], audio[None]), net.places
    seen, alpha = torch.zeros(10, 512), torch.zeros(10, 49)
    for t in range(10):
        x, a = torch.relu(linear(at.enter, visual[t])), audio[t]
        heard = torch.relu(linear(at.channel_audio, a))
        c = sum(heard * torch.relu(linear(at.channel_visual, x[i])) for i in range(49)) / 49
        x = x * (1 + torch.sigmoid(linear(at.excite, torch.relu(linear(at.squeeze, c)))))
        heard = torch.relu(linear(at.place_audio, a))
        score = [
            torch.tanh(linear(at.score, torch.relu(linear(at.place_visual, x[i])) * heard))
            for i in range(49)
        ]
        alpha[t] = torch.softmax(torch.cat(score), 0)
        seen[t] = sum(alpha[t, i] * x[i] for i in range(49))

    def encoded(encoder, x):
        x = linear(encoder.enter, x)
        for layer in encoder.layers:
            x = residual(layer, x, x)
        return x

    def decoded(decoder, x, memory):
        x = linear(decoder.enter, x)
        return residual(decoder.layer, x, torch.cat([memory, x]))

    a = decoded(net.audio_decoder, audio, encoded(net.visual_encoder, seen))
    v = decoded(net.visual_decoder, seen, encoded(net.audio_encoder, audio))
    joint = v * a
    fused = normed(net.norm, joint + attended(net.relation, joint, torch.cat([a, v]), heads))
    assert [len(net.visual_encoder.layers), len(net.audio_encoder.layers)] == [2, 2]
    torch.testing.assert_close(found["attention"][0], alpha, rtol=1e-4, atol=1e-6)
    event, category = linear(net.event, fused)[:, 0], linear(net.category, fused.amax(0))
    assert len(category) == (29 if supervision == "weak" else 28)
    torch.testing.assert_close(found["event"][0], event, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["category"][0], category, rtol=1e-4, atol=1e-5)


# --- the other equations -------------------------------------------------------------------------


def test_avel_squashes_twice_as_released():
    avel = network("avel", agva="repo")
    logits = torch.randn(2, 10, 29)
    segments = with_background(torch.eye(28)[[3, 5]][:, None].expand(2, 10, 28))
    loss = avel.losses({"logits": logits}, Target(segments, segments[:, 0]))["class"].value
    p, y = torch.softmax(logits, -1), segments
    expected = -(y * torch.sigmoid(p).log() + (1 - y) * torch.sigmoid(-p).log()).mean()
    torch.testing.assert_close(loss, expected)
    weak = avel.losses({"logits": logits}, Target(None, segments[:, 0]))["class"].value
    p, y = torch.softmax(logits.amax(1), -1), segments[:, 0]
    expected = -(y * torch.sigmoid(p).log() + (1 - y) * torch.sigmoid(-p).log()).mean()
    torch.testing.assert_close(weak, expected)


def test_cmrans_video_is_the_best_product_of_event_and_category():
    weak = network("cmran", "weak")
    torch.manual_seed(2)
    event, category = torch.randn(3, 10), 2 * torch.randn(3, 29)
    video = torch.zeros(3, 29)
    video[torch.arange(3), torch.tensor([4, 0, 28])] = 1.0
    loss = 0.0
    for clip in range(3):
        best = []
        for k in category[clip].tolist():
            best.append(max(k / (1 + math.exp(-e)) for e in event[clip].tolist()))
        assert min(best) < 0 < max(best)  # so that the order of product and maximum matters
        total = sum(math.exp(value) for value in best)
        for label, value in enumerate(best):
            score = math.exp(value) / total
            said = score if video[clip, label] else -score
            loss += math.log1p(math.exp(-said)) / 29 / 3
    losses = weak.losses({"event": event, "category": category}, Target(None, video))
    assert abs(losses["class"].value.item() - loss) < 1e-6
    score = torch.softmax(weak.video({"event": event, "category": category}), -1)
    expected = [
        [max(k * torch.sigmoid(e).item() for e in event[c]) for k in category[c].tolist()]
        for c in range(3)
    ]
    torch.testing.assert_close(score, torch.tensor(expected).softmax(-1), rtol=0, atol=1e-6)


def test_cmran_has_the_released_parameters_less_those_no_sum_goes_through():
    """The release keeps the layers it clones, and attention and a guidance it never calls."""
    attention = 4 * (256 * 256 + 256)
    layer = attention + (256 * 2048 + 2048 + 2048 * 256 + 256) + 4 * 256
    prototypes = 2 * layer + 2 * (layer + attention)
    never_called = 2 * attention + (512 * 64 + 64) + (64 * 128 + 128)
    count = sum(p.numel() for p in network("cmran").parameters())
    assert count == 15_863_262 - prototypes - never_called == 9_509_150


def test_cmran_says_background_where_no_event_is_likely():
    full, weak = network("cmran"), network("cmran", "weak")
    event = torch.tensor([[2.0, -2.0, 0.1]])
    category = torch.randn(1, 28)
    chosen = full.probabilities({"event": event, "category": category}).argmax(-1)
    assert chosen.tolist() == [[category.argmax().item(), 28, category.argmax().item()]]
    category = torch.cat([category, torch.tensor([[9.0]])], -1)
    chosen = weak.probabilities({"event": event, "category": category}).argmax(-1)
    assert chosen.tolist() == [[28, 28, 28]]
    category[0, 28] = -9
    chosen = weak.probabilities({"event": event, "category": category}).argmax(-1)
    assert chosen.tolist() == [[category.argmax().item(), 28, category.argmax().item()]]


def test_parts_that_are_switched_off_are_gone():
    visual, audio = torch.randn(1, 10, 49, 512), torch.randn(1, 10, 128)
    whole = size(network("dmsf"))
    for change in (
        {"adapter": False},
        {"agva": "mean"},
        {"mamba": False},
        {"gate": False},
        {"cic": False},
        {"ffn": False},
    ):
        part = network("dmsf", **change)
        assert size(part) < whole, change
        assert part(visual, audio)["logits"].shape == (1, 10, 29)
    assert "attention" not in network("dmsf", agva="mean")(visual, audio)
    assert isinstance(network("dmsf", temporal="bilstm").visual_time.lstm, torch.nn.LSTM)


def test_sns_can_have_a_bilstm_before_its_attention():
    made = method("sns_bilstm").localiser
    for sns in (made.visual_time, made.audio_time):
        assert isinstance(sns.recurrent.lstm, torch.nn.LSTM)
        assert sns.recurrent.lstm.bidirectional
        assert isinstance(sns.attention, torch.nn.MultiheadAttention)  # and its gate stays
        assert sns.gate.in_features == 2 * sns.gate.out_features
    other = method("dmsf").localiser
    assert type(other.visual_time.recurrent).__name__ == "Mamba"


def test_without_a_gate_and_mamba_nothing_moves_in_time_before_fusion():
    still = network("dmsf", mamba=False, gate=False)
    visual, audio = torch.randn(1, 10, 49, 512), torch.randn(1, 10, 128)
    other = visual.clone()
    other[:, 4] += 1
    before = still(visual, audio)["before"], still(other, audio)["before"]
    changed = (before[0] - before[1]).abs().amax(-1)[0] > 1e-6
    assert changed.nonzero().flatten().tolist() == [4]


def test_losses_that_have_no_weight_are_not_computed():
    target = Target(with_background(torch.zeros(1, 10, 28)), with_background(torch.zeros(1, 28)))
    found = {"logits": torch.randn(1, 10, 29), "before": torch.randn(1, 10, 29)}
    names = {}
    for name, losses in {
        "all": {},
        "no_mutual": {"mutual": 0.0},
        "single": {"mutual": 0.0, "pre_fusion": 0.0},
    }.items():
        dmsf = KINDS["dmsf"](Sizes(8, 8, 29), Settings(network=SMALL, losses=losses))
        names[name] = set(dmsf.losses(found, target))
    assert names == {
        "all": {"class", "before", "mutual"},
        "no_mutual": {"class", "before"},
        "single": {"class"},
    }


def test_the_background_is_what_nothing_else_is():
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    assert with_background(labels).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]


# --- methods -------------------------------------------------------------------------------------


def project(**settings):
    """Maps keep their 49 places, everything else is tiny."""
    front_ends = {
        "ave_visual": {"channels": 12},
        "ave_audio": {"channels": 8},
        "clip_visual": {"channels": 12},
        "clip_audio": {"channels": 8},
    }
    table = {row: {"settings": {"batch": 4, "network": SMALL}} for row in ROWS}
    for row in table.values():
        row["settings"] = {**row["settings"], **settings}
    overlay = {"front_ends": front_ends, "papers": {PAPER: {"table": table}}}
    return load(overlay, papers=settings_models(), root=ROOT)


def method(row, condition="full", *, steps=4, seed=0, **settings):
    made = plan(project(**settings), Run(PAPER, row, condition, 1), settings_models()[PAPER])
    torch.manual_seed(seed)
    return method_of(PAPER)(made, steps_per_epoch=steps, device=torch.device("cpu"), amp=False)


def batch_of(method, videos, labels, clips):
    s = method.settings
    inputs = dict(zip(s.inputs, videos, strict=True))
    return Batch(inputs, labels, clips, {"videos": slice(0, len(labels))})


@pytest.mark.parametrize("condition", ["full", "weak"])
@pytest.mark.parametrize("row", ROWS)
def test_every_row_takes_a_step_that_reaches_every_weight(row, condition):
    torch.manual_seed(0)
    made = method(row, condition)
    made.networks.train()
    labels = torch.zeros(4, 10, 28)
    labels[0, 2:7, 3] = labels[1, :, 5] = labels[2, 4:, 9] = 1
    videos = torch.randn(4, 10, 7, 7, 12), torch.randn(4, 10, 8)
    terms = made.losses(batch_of(made, videos, labels, labels.amax(1)), 1)
    total = sum(term.weight * term.value for term in terms.values())
    assert torch.isfinite(total)
    total.backward()
    grouped = [p for group in made.param_groups() for p in group["params"]]
    assert len(grouped) == len(list(made.networks.parameters()))
    scores = made.scores(NETWORK, dict(zip(made.settings.inputs, videos, strict=True)))
    assert scores["frame"].shape == (4, 10, 29)
    if condition == "full" and not row.startswith("cmran"):
        # At the first step an adapter's lower half has none yet: its upper half is zero.
        idle = {n for n, p in made.networks.named_parameters() if p.grad is None}
        allowed = {"before", "cosine", "gate"}
        assert {n for n in idle if not any(word in n for word in allowed)} == set()


def test_weights_decay_but_not_biases_norms_or_the_state_space():
    made = method("dmsf")
    decayed, spared = made.param_groups()
    assert decayed["weight_decay"] == 1e-4
    assert spared["weight_decay"] == 0
    assert all(p.ndim > 1 for p in decayed["params"])
    mamba = made.localiser.visual_time.recurrent
    ids = {id(p) for p in spared["params"]}
    assert {id(mamba.a_log), id(mamba.skip), id(mamba.dt_proj.bias)} <= ids


def test_weight_decay_is_no_part_of_the_gradient():
    """AdamW: a weight that nothing pulls at shrinks by rate × decay."""
    made = method("dmsf")
    optimiser = made.optimiser()
    assert isinstance(optimiser, torch.optim.AdamW)
    decayed, spared = (group["params"][0] for group in optimiser.param_groups)
    before = decayed.detach().clone(), spared.detach().clone()
    for parameter in (decayed, spared):
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    torch.testing.assert_close(decayed, before[0] * (1 - 5e-4 * 1e-4), rtol=0, atol=1e-9)
    assert torch.equal(spared, before[1])


def test_dmsf_starts_slowly_and_the_dcase_recipes_do_not():
    """The first of five epochs of linear start; DCASE's first update is before its schedule."""
    made = method("dmsf", steps=10)
    assert not made.full_rate_first
    assert made.rate(0) == pytest.approx(1 / 51)
    for paper in ("lgc_sed", "cross_task_sod", "mtda_hsed"):
        assert method_of(paper).full_rate_first


def test_rates_follow_their_schedules():
    cosine = method("dmsf", steps=10)
    epochs = cosine.settings.training.epochs
    rates = [cosine.rate(step) for step in range(10 * epochs + 1)]
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert np.argmax(rates) in (49, 50)  # after five epochs
    assert all(a >= b for a, b in pairwise(rates[50:]))
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    psp = method("psp", steps=10)
    assert [round(psp.rate(s), 4) for s in (0, 599, 600, 1199, 1200)] == [1, 1, 0.8, 0.8, 0.64]


def test_psps_weak_targets_are_shares_of_the_video():
    psp, other = method("psp", "weak"), method("av_att", "weak")
    assert psp.settings.streams()[0].labels == "frames"
    assert other.settings.streams()[0].labels == "clips"
    labels = torch.zeros(3, 10, 28)
    labels[0, 2:7, 3] = labels[1, :, 5] = 1  # and the last video has no event
    videos = torch.randn(3, 10, 7, 7, 12), torch.randn(3, 10, 8)
    batch = batch_of(psp, videos, labels, labels.amax(1))
    targets = {}
    for name, made in (("psp", psp), ("other", other)):
        made.localiser.losses = lambda found, target, name=name: targets.setdefault(name, target)
        made.losses(batch, 1)
        assert targets[name].segments is None
    expected = torch.zeros(3, 29)
    expected[0, 3] = expected[0, 28] = 0.5
    expected[1, 5] = expected[2, 28] = 1
    torch.testing.assert_close(targets["psp"].video, expected)
    assert targets["other"].video.nonzero().tolist() == [[0, 3], [1, 5], [2, 28]]


@pytest.mark.parametrize("condition", ["full", "weak"])
def test_baselines_have_the_releases_recipes(condition):
    weak = condition == "weak"
    loaded, model = load(papers=settings_models(), root=ROOT), settings_models()[PAPER]
    avel = (250, [], None) if weak else (300, [288], None)
    cmran = (200, [5, 20, 40], 0.5) if weak else (200, [10, 20, 30], 0.1)
    wanted = dict.fromkeys(["a", "v", "v_att", "av", "av_att", "dmrn"], (64, 1e-3, 0.1, *avel))
    wanted["psp"] = (128, 1e-3, 0.8, 300, [80, 160] if weak else [60, 120], None)
    wanted |= dict.fromkeys(["cmran", "cmran_lite"], (32, 5e-4, 0.5, *cmran))
    for row, recipe in wanted.items():
        s = plan(loaded, Run(PAPER, row, condition, 1), model).settings
        of_rate = (s.training.learning_rate, s.optimiser.factor)
        rest = (s.training.epochs, s.optimiser.milestones, s.training.clip_norm)
        assert (s.batch, *of_rate, *rest) == recipe, row
        assert s.optimiser.schedule == "steps"
        assert s.optimiser.weight_decay == 0
        assert s.training.validate_every == (1 if row.startswith("cmran") else 5)


def test_every_row_of_the_miniature_is_short():
    mini = load(papers=settings_models(), files=[ROOT / "config/mini.yaml"], root=ROOT)
    for row in ROWS:
        for condition in mini.papers[PAPER].conditions:
            made = plan(mini, Run(PAPER, row, condition, 1), settings_models()[PAPER])
            assert made.settings.training.epochs == 20, (row, condition)


def test_dmrn_starts_from_what_av_att_learned():
    source, made = method("av_att", seed=1), method("dmrn", seed=2)
    assert made.plan.source.row == "av_att"
    head = made.localiser.out.weight.clone()
    made.start_from({NETWORK: source.networks[NETWORK].state_dict()})
    for part in ("agva", "visual_lstm", "audio_lstm"):
        ours, theirs = getattr(made.localiser, part), getattr(source.localiser, part)
        for name, value in ours.state_dict().items():
            torch.testing.assert_close(value, theirs.state_dict()[name], rtol=0, atol=0)
    torch.testing.assert_close(made.localiser.out.weight, head)  # another shape: its own start


# --- what neither modality can do alone ----------------------------------------------------------

PROTOTYPES = 4


def toy_videos(count, draw, *, negatives=0):
    """Maps in which one place shows a category, and sounds that name one: events where both agree.

    Returns maps, sounds, labels (video, second, 28), the places, and which videos do not match.
    """
    looks, sounds = (np.random.default_rng(5).normal(size=(PROTOTYPES, n)) * 2 for n in (12, 8))
    maps = 0.5 * draw.normal(size=(count, 10, 49, 12))
    audio = 0.5 * draw.normal(size=(count, 10, 8))
    places = draw.integers(0, 49, size=(count, 10))
    labels = np.zeros((count, 10, 28))
    apart = np.arange(count) < count // 4 + negatives
    for video in range(count):
        category = int(draw.integers(PROTOTYPES))
        heard = (category + 1) % PROTOTYPES if apart[video] else category
        start = int(draw.integers(0, 6))
        heard_from, heard_to = (start, start + 4) if draw.random() < 0.5 else (0, 10)
        for t in range(10):
            maps[video, t, places[video, t]] += looks[category]
            if heard_from <= t < heard_to:
                audio[video, t] += sounds[heard]
                labels[video, t, category] = heard == category
    tensors = (torch.tensor(x, dtype=torch.float32) for x in (maps, audio, labels))
    maps, audio, labels = tensors
    return maps.unflatten(2, (7, 7)), audio, labels, places, apart


def fitted(row, condition, videos, labels, tags, *, epochs=20, **settings):
    settings.setdefault("training", {"epochs": epochs, "learning_rate": 0.01})
    settings.setdefault("optimiser", {"schedule": "cosine", "warmup": 1, "weight_decay": 0.0})
    steps = len(labels) // 20
    made = method(row, condition, steps=steps, **settings)
    made.networks.train()
    optimiser = torch.optim.Adam(made.param_groups())
    history, draw = [], torch.Generator().manual_seed(0)
    for epoch in range(epochs):
        order, total = torch.randperm(len(labels), generator=draw), {}
        for position in range(steps):
            pick = order[position * 20 : (position + 1) * 20]
            batch = batch_of(made, [v[pick] for v in videos], labels[pick], tags[pick])
            terms = made.losses(batch, epoch * steps + position + 1)
            optimiser.zero_grad()
            sum(term.weight * term.value for term in terms.values()).backward()
            optimiser.step()
            for name, term in terms.items():
                total[name] = total.get(name, 0.0) + term.value.item() / steps
        history.append(total)
    made.networks.eval()
    return made, history


@torch.no_grad()
def scored(made, videos):
    found = made.scores(NETWORK, dict(zip(made.settings.inputs, videos, strict=True)))
    return {name: value.numpy() for name, value in found.items()}


@pytest.fixture(scope="module")
def toys():
    draw = np.random.default_rng(0)
    return toy_videos(200, draw), toy_videos(80, draw)


@pytest.mark.slow
@pytest.mark.system
def test_both_modalities_beat_one_and_attention_finds_the_object(toys):
    (maps, audio, labels, _, _), (test_maps, test_audio, test_labels, places, apart) = toys
    truth = with_background(test_labels).argmax(-1).numpy()
    hard = apart | (test_labels.sum((1, 2)).numpy() % 10 != 0)
    values = {}
    for row in ("a", "v_att", "av_att", "dmsf"):
        made, history = fitted(row, "full", (maps, audio), labels, labels.amax(1))
        found = scored(made, (test_maps, test_audio))
        values[row] = share(accuracy(found["frame"][hard], truth[hard]).total())
        if row == "dmsf":
            assert history[-1]["mutual"] < max(h["mutual"] for h in history) / 4
            event = truth < 28
            peak = found["attention"].argmax(-1) == places
            assert peak[event].mean() > 0.5  # chance: 1 of 49
    for both in ("av_att", "dmsf"):
        assert values[both] > max(values["a"], values["v_att"]) + 0.05, values


@pytest.mark.slow
def test_background_is_learned_from_negatives_only(toys):
    """Weak labels name an event in every video: without negatives none is ever background."""
    draw = np.random.default_rng(3)
    maps, audio, labels, _, _ = toy_videos(160, draw)
    tags = labels.amax(1)
    events = tags.sum(-1) > 0
    assert (~events).any()
    test = toys[1]
    predicted = {}
    for negatives in (True, False):
        kept = events | torch.tensor([negatives] * len(events))
        made, _ = fitted(
            "dmsf", "weak", (maps[kept], audio[kept]), labels[kept], tags[kept], epochs=10
        )
        predicted[negatives] = scored(made, test[:2])["frame"].argmax(-1) == 28
    assert predicted[True].any()
    assert not predicted[False].any()


def test_streams_say_what_weak_supervision_reads():
    full, weak = Settings(), Settings(supervision="weak")
    assert [(s.labels, [x.name for x in s.subsets]) for s in full.streams()] == [
        ("frames", ["train"])
    ]
    assert [(s.labels, [x.name for x in s.subsets]) for s in weak.streams()] == [
        ("clips", ["train", "negatives"])
    ]
    alone = Settings(supervision="weak", negatives=False)
    assert [x.name for x in alone.streams()[0].subsets] == ["train"]
    assert Settings(without_shared=True).streams()[0].subsets[0].portion == "!shared"
