"""BEATs against the formulas written out, its checkpoint format, and its published size."""

import math
import pickle

import pytest
import torch
from torch.nn import functional as F

from sedrepro.errors import SedreproError
from sedrepro.miniature import weights as look
from sedrepro.networks.beats import Beats, Config, PartialForward, bucket

TINY = Config(
    embed_dim=6,
    encoder_layers=2,
    encoder_embed_dim=8,
    encoder_ffn_embed_dim=12,
    encoder_attention_heads=2,
    conv_pos=4,
    conv_pos_groups=2,
    num_buckets=16,
    max_distance=20,
)


def shuffled(config: Config = TINY) -> Beats:
    """A network none of whose parameters is at a value that hides a mistake."""
    torch.manual_seed(3)
    network = Beats(config, mel_bands=32).double()
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * 0.5
    return network.requires_grad_(False)


def test_size_and_names_are_the_published_ones():
    with torch.device("meta"):
        network = Beats(Config())
    assert sum(p.numel() for p in network.parameters()) == 90_311_792
    state = network.state_dict()
    assert len(state) == 250
    shapes = {
        "patch_embedding.weight": (512, 1, 16, 16),
        "post_extract_proj.weight": (768, 512),
        "encoder.pos_conv.0.weight_g": (1, 1, 128),
        "encoder.pos_conv.0.weight_v": (768, 48, 128),
        "encoder.layers.11.self_attn.grep_linear.weight": (8, 64),
        "encoder.layers.11.self_attn.grep_a": (1, 12, 1, 1),
        "encoder.layers.7.self_attn.relative_attention_bias.weight": (320, 12),
        "encoder.layers.0.fc1.weight": (3072, 768),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_buckets_follow_the_rule():
    found = bucket(30, 16, 20)
    for i in range(30):
        for j in range(30):
            d = j - i
            far = abs(d)
            if far >= 4:
                far = min(7, 4 + int(4 * math.log(far / 4) / math.log(20 / 4)))
            assert found[i, j] == 8 * (d > 0) + far


def attention(layer, x, bias):
    """One head and one query after the other."""
    m, heads = layer.self_attn, layer.self_attn.heads
    q, k, v = (p(x) for p in (m.q_proj, m.k_proj, m.v_proj))
    size = q.shape[-1] // heads
    out = torch.zeros_like(x)
    for b in range(len(x)):
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            for i in range(x.shape[1]):
                r = m.grep_linear(q[b, i, own])
                a, c = torch.sigmoid(r[:4].sum()), torch.sigmoid(r[4:].sum())
                gate = a * (c * m.grep_a[0, h, 0, 0] - 1) + 2
                # The official order: scaled twice, made safe by the row's maximum, scaled back.
                logits = k[b, :, own] @ (q[b, i, own] / math.sqrt(size) / 32)
                logits = (logits - logits.max()) * 32 + gate * bias[h, i]
                out[b, i, own] = torch.softmax(logits, -1) @ v[b, :, own]
    return m.out_proj(out)


def norm(layer, x):
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / deviation * layer.weight + layer.bias


def reference(network: Beats, fbank):
    """The seven steps, in plain operations; tokens after each block."""
    config, width = network.config, network.config.encoder_embed_dim
    patches = []
    for t in range(fbank.shape[1] // 16):
        for f in range(fbank.shape[2] // 16):
            patch = fbank[:, 16 * t : 16 * t + 16, 16 * f : 16 * f + 16].flatten(1)
            patches.append(patch @ network.patch_embedding.weight.flatten(1).T)
    x = network.post_extract_proj(norm(network.layer_norm, torch.stack(patches, 1)))
    conv, kernel = network.encoder.pos_conv[0], config.conv_pos
    v = conv.weight_v
    weight = torch.stack(
        [conv.weight_g[0, 0, k] * v[:, :, k] / v[:, :, k].norm() for k in range(kernel)], -1
    )
    padded = F.pad(x, (0, 0, kernel // 2, kernel // 2))
    group = width // config.conv_pos_groups
    place = torch.zeros_like(x)
    for i in range(x.shape[1]):
        for o in range(width):
            inside = slice(o // group * group, o // group * group + group)
            window = padded[:, i : i + kernel, inside]
            place[:, i, o] = (window * weight[o].T).sum((1, 2)) + conv.bias[o]
    x = norm(network.encoder.layer_norm, x + 0.5 * place * (1 + torch.erf(place / math.sqrt(2))))
    n = x.shape[1]
    buckets = bucket(n, config.num_buckets, config.max_distance)
    table = network.encoder.layers[0].self_attn.relative_attention_bias.weight
    bias = table[buckets].permute(2, 0, 1)
    alpha = (2 * config.encoder_layers) ** 0.25
    for layer in network.encoder.layers:
        u = norm(layer.self_attn_layer_norm, alpha * x + attention(layer, x, bias))
        hidden = layer.fc1(u)
        hidden = layer.fc2(0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))
        x = norm(layer.final_layer_norm, alpha * u + hidden)
        yield x


def test_every_block_is_the_formula():
    network = shuffled()
    fbank = torch.randn(2, 70, 32, dtype=torch.double)
    walk = PartialForward(network, fbank)
    for block, wanted in enumerate(reference(network, fbank), 1):
        torch.testing.assert_close(walk.to(block), wanted, rtol=1e-9, atol=1e-9)
    assert block == network.depth
    torch.testing.assert_close(network(fbank), wanted)
    assert wanted.shape == (2, 4 * 2, 8)


def test_blocks_are_left_out_and_gradients_scaled_only_in_training():
    network = shuffled()
    fbank = torch.randn(1, 32, 32, dtype=torch.double)
    with torch.no_grad():
        whole = network(fbank)
        torch.testing.assert_close(
            PartialForward(network, fbank, drop=1.0, gradient=0.1).to(2), whole
        )
    walk = PartialForward(network, fbank, drop=1.0)
    torch.testing.assert_close(walk.to(2), walk.beats.tokens(fbank))

    def gradient(**options):
        walk = PartialForward(network, fbank, **options)
        start = walk.tokens = walk.tokens.detach().requires_grad_()
        value = walk.to(2).square().mean()
        return value.detach(), torch.autograd.grad(value, start)[0]

    plain, scaled = gradient(), gradient(gradient=0.6)
    torch.testing.assert_close(scaled[0], plain[0])
    torch.testing.assert_close(scaled[1], 0.6**2 * plain[1])
    torch.testing.assert_close(gradient(save_memory=True)[1], plain[1])


@pytest.fixture
def saved():
    content = look.content("beats", 7)
    state = {name: torch.from_numpy(value) for name, value in content["model"].items()}
    return {"cfg": content["cfg"], "model": state}


def write(path, content):
    torch.save(content, path)
    return path


def test_a_file_of_the_official_format_loads(saved, tmp_path):
    saved["model"] |= {"predictor.weight": torch.zeros(5, 24), "predictor.bias": torch.zeros(5)}
    network = Beats.load(write(tmp_path / "b.pt", saved))
    assert (network.depth, network.width) == (2, 24)
    assert not any(p.requires_grad for p in network.parameters())
    layers = network.encoder.layers
    torch.testing.assert_close(
        layers[1].fc1.weight.data, saved["model"]["encoder.layers.1.fc1.weight"]
    )
    shared = layers[0].self_attn.relative_attention_bias
    assert shared is layers[1].self_attn.relative_attention_bias
    assert torch.isfinite(network(torch.randn(1, 64, 128))).all()


def test_files_that_do_not_fit_are_refused_by_name(saved, tmp_path):
    path, key = tmp_path / "b.pt", "encoder.layers.1.fc1.bias"
    model = dict(saved["model"])
    value = model.pop(key)
    for changed, message in (
        (model, f"lacks '{key}'"),
        ({**saved["model"], "encoder.layers.9.fc1.bias": value}, "unknown 'encoder.layers.9.fc1"),
        ({**saved["model"], key: value[:3]}, rf"'{key}' has shape \(3,\), not \(48,\)"),
    ):
        with pytest.raises(SedreproError, match=message):
            Beats.load(write(path, {"cfg": saved["cfg"], "model": changed}))
    with pytest.raises(SedreproError, match="lacks `cfg` or `model`"):
        Beats.load(write(path, saved["model"]))
    other = {**saved["cfg"], "layer_norm_first": True}
    with pytest.raises(SedreproError, match="layer_norm_first is True"):
        Beats.load(write(path, {**saved, "cfg": other}))


def test_a_flat_file_of_the_default_configuration_loads(saved, tmp_path):
    """As PretrainedSED releases them: no `cfg`, and heads beside the network."""
    flat = {f"model.model.{key}": value for key, value in saved["model"].items()}
    flat |= {"weak_head.bias": torch.zeros(5), "strong_head.weight": torch.zeros(5, 24)}
    flat |= {"seq_model.rnn.weight": torch.zeros(3), "model.model.predictor.bias": torch.zeros(5)}
    network = Beats.load(write(tmp_path / "flat.pt", flat))
    official = Beats.load(write(tmp_path / "official.pt", saved))
    shape = {field: getattr(official.config, field) for field in vars(official.config)}
    assert vars(network.config) == {**shape, "max_distance": 800}  # what no shape tells
    wanted = official.state_dict()
    assert network.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in network.state_dict().items())

    del flat["model.model.encoder.pos_conv.0.weight_g"]
    with pytest.raises(SedreproError, match=r"lacks 'encoder.pos_conv.0.weight_g', or its shape"):
        Beats.load(write(tmp_path / "flat.pt", flat))


def test_the_full_configuration_is_measured(tmp_path):
    with torch.device("meta"):
        state = Beats(Config()).state_dict()
    assert Config.measured(state, "x.pt") == Config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_layers": 10**6}, "fewer weights than `cfg` has layers"),
        ({"encoder_attention_heads": 0}, "encoder_attention_heads is 0, not a size"),
        ({"embed_dim": "wide"}, "embed_dim is 'wide', not a size"),
    ],
)
def test_a_configuration_out_of_all_proportion_is_refused(saved, tmp_path, changes, message):
    saved["cfg"] = {**saved["cfg"], **changes}
    with pytest.raises(SedreproError, match=message):
        Beats.load(write(tmp_path / "b.pt", saved))


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint was executed",))


def test_nothing_in_a_file_is_executed(saved, tmp_path):
    path = write(tmp_path / "trap.pt", {**saved, "more": Trap(), "hooks": [Trap()]})
    assert Beats.load(path).depth == 2
    path.write_bytes(pickle.dumps({"cfg": saved["cfg"], "model": Trap()}))
    with pytest.raises(SedreproError, match="a Placeholder where weights should be"):
        Beats.load(path)
    path.write_bytes(pickle.dumps({"cfg": Trap(), "model": {"x": Trap()}}))
    with pytest.raises(SedreproError, match="a Placeholder under 'x', no tensor"):
        Beats.load(path)
    with pytest.raises(SedreproError, match="no such checkpoint"):
        Beats.load(tmp_path / "none.pt")
