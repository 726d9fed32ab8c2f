"""What others saved is read as they saved it, in every format, and nothing of it is made or called.

What must be refused, and that nothing is executed, is tested in faults/test_fuzz.py.
"""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from sedrepro.checkpoints import Named, Placeholder, load_checkpoint
from sedrepro.errors import SedreproError

FLOATING = ["float32", "float64", "float16", "bfloat16", "complex64", "complex128"]
WHOLE = ["bool", "int64", "int32", "int16", "int8", "uint8"]
DTYPES = [getattr(torch, name) for name in (*FLOATING, *WHOLE)]
FORMATS = {
    "zip": {},
    "old": {"_use_new_zipfile_serialization": False},
    "protocol 5": {"pickle_protocol": 5},
}


def tensors() -> dict[str, torch.Tensor]:
    draw = torch.randn(6, 4)
    return {
        **{str(dtype): (draw * 3).to(dtype) for dtype in DTYPES},
        "transposed": draw.T,
        "steps": draw[::2, 1:],
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(draw),
    }


@pytest.fixture(params=FORMATS)
def options(request):
    return FORMATS[request.param]


@pytest.mark.parametrize("mapped", [False, True])
def test_tensors_are_as_they_were(tmp_path, options, mapped):
    saved = tensors()
    torch.save(saved, tmp_path / "a.pt", **options)
    found = load_checkpoint(tmp_path / "a.pt", mapped=mapped)
    assert list(found) == list(saved)
    for name, value in saved.items():
        assert found[name].dtype == value.dtype
        assert found[name].stride() == value.stride()
        assert not found[name].requires_grad
        torch.testing.assert_close(found[name], value.detach(), rtol=0, atol=0)
    own = "transposed", "steps"
    assert len({found[name].untyped_storage().data_ptr() for name in own}) == 1
    found["transposed"] += 1  # changes the memory, and not the file
    torch.testing.assert_close(found["steps"], saved["steps"] + 1)
    again = load_checkpoint(tmp_path / "a.pt")
    torch.testing.assert_close(again["steps"], saved["steps"], rtol=0, atol=0)


def test_types_newer_than_the_storages_that_name_types(tmp_path):
    saved = torch.randn(5).to(torch.float8_e4m3fn)
    torch.save(saved, tmp_path / "a.pt")
    found = load_checkpoint(tmp_path / "a.pt")
    assert found.dtype == saved.dtype
    assert torch.equal(found.view(torch.uint8), saved.view(torch.uint8))


def test_containers_and_values_are_as_they_were(tmp_path, options):
    saved = {
        "values": [None, True, -3, 1 << 70, 2.5, 1 + 2j, "ä", b"\xff", (1, (2,)), {"a", 3}],
        ("a", 1): frozenset({1}),
        "torch": [torch.Size([1, 2]), torch.device("cpu"), torch.bfloat16],
        "numpy": [np.arange(6.0).reshape(2, 3).T, np.array(3, np.int16)],
        "more": [collections.defaultdict(list, a=[1]), collections.Counter("aab")],
    }
    torch.save(saved, tmp_path / "a.pt", **options)
    found = load_checkpoint(tmp_path / "a.pt")
    arrays, wanted = found.pop("numpy"), saved.pop("numpy")
    assert found == saved
    for array, value in zip(arrays, wanted, strict=True):
        assert array.dtype == value.dtype
        np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_of_every_protocol(tmp_path, protocol):
    saved = {"a": [1, 2.5, "ä", b"\xff\x00", None, False], 3: ({1, 2}, np.float32(1.5))}
    saved["array"] = np.arange(3, dtype=">i4")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(saved, protocol))
    found = load_checkpoint(tmp_path / "a.pkl")
    np.testing.assert_array_equal(found.pop("array"), saved.pop("array"))
    assert found == saved


class Thing:
    def __init__(self):
        self.a = 1
        self.inner = None


class Slots:
    __slots__ = ("a",)


class AttributeDict(dict):
    pass


class Growing(list):
    pass


def test_classes_and_objects_are_named(tmp_path, options):
    thing, slots, grown = Thing(), Slots(), Growing([1])
    thing.inner = [thing]
    slots.a = 5  # a circle
    saved = {Thing: thing, "slots": slots, "grown": grown, "items": AttributeDict(b={"c": 1})}
    saved["ordered"] = torch.nn.Linear(1, 1).state_dict()  # with attributes of its own
    torch.save(saved, tmp_path / "a.pt", **options)
    found = load_checkpoint(tmp_path / "a.pt")
    named = found[Named(f"{__name__}.Thing")]
    assert isinstance(named, Placeholder)
    assert repr(named) == f"<placeholder of {named.name}>"
    assert named.state["a"] == 1
    assert named.state["inner"] == [named]
    assert found["slots"].state == {"a": 5}
    assert found["grown"].more == [1]
    assert found["items"].state == {"b": {"c": 1}}
    assert type(found["ordered"]) is dict
    assert list(found["ordered"]) == ["weight", "bias"]


def test_a_whole_module_is_no_module(tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "a.pt")
    found = load_checkpoint(tmp_path / "a.pt")
    assert found.name == "torch.nn.modules.linear.Linear"
    assert found.state["_parameters"]["weight"].shape == (3, 2)


def test_mapped_storages_stay_in_the_file_until_they_are_looked_at(tmp_path):
    """A changed byte shows where all is read, and where it is looked at; nothing else is read."""
    torch.save({"a": torch.ones(1000), "b": torch.full((1000,), 2.0)}, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    place = content.index(np.float32(2).tobytes() * 1000)
    content[place : place + 4] = np.float32(3).tobytes()
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(SedreproError, match="data/1 is damaged"):
        load_checkpoint(tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt", mapped=True)["b"][0] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ValueError: cannot mmap an empty file"),
        (b"PK\x03\x04", "not a readable checkpoint"),
        (b"\x80\x02}", "pickle exhausted before seeing STOP"),
        (b"PK\x03\x04" + bytes(99), "BadZipFile: File is not a zip file"),
        (b"hello", "not a readable checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_a_line(tmp_path, content, message):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(SedreproError, match=message) as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)
    with pytest.raises(SedreproError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "b.pt")


def test_a_module_that_is_not_there_is_not_missed(tmp_path, monkeypatch):
    """The class of the file's object exists while it is written, and no longer when it is read."""
    gone = types.ModuleType("gone_library")
    gone.Config = type("Config", (), {"__module__": "gone_library"})
    monkeypatch.setitem(sys.modules, "gone_library", gone)
    config = gone.Config()
    config.rate = 16000
    out = io.BytesIO()
    torch.save({"config": config}, out)
    monkeypatch.undo()
    (tmp_path / "a.pt").write_bytes(out.getvalue())
    assert load_checkpoint(tmp_path / "a.pt")["config"].state == {"rate": 16000}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_storages_go_to_the_device_once(tmp_path, options):
    saved = tensors()
    torch.save(saved, tmp_path / "a.pt", **options)
    found = load_checkpoint(tmp_path / "a.pt", "cuda")
    for name, value in saved.items():
        assert found[name].is_cuda
        torch.testing.assert_close(found[name].cpu(), value.detach(), rtol=0, atol=0)
    own = "transposed", "steps"
    assert len({found[name].untyped_storage().data_ptr() for name in own}) == 1
