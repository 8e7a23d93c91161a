"""Checkpoints of every layout: pickles in zip files, old ones, safetensors; damaged, and such as would run code."""

from __future__ import annotations

import builtins
import io
import json
import math
import struct
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from fuzz.damage import damaged, odd_numbers
from fuzz.json_values import wrong_texts
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st
from torch import nn

from bench.common.errors import BenchError
from bench.models.checkpoints import load_weights, read_weights

CANARY = Path(tempfile.gettempdir()) / "bench-canary"
MARK = "fuzz_canary"
CODE = f"__import__('builtins').{MARK} = True"
CALLS = [b"cbuiltins\nexec\n(V%b\ntR" % CODE.encode(), b"cbuiltins\neval\n(V%b\ntR" % CODE.encode(),
         b"cposix\nmkdir\n(V%b\ntR" % bytes(CANARY), b"c_io\nopen\n(V%b\nVw\ntR" % bytes(CANARY),
         b"cposix\nsystem\n(Vmkdir %b\ntR" % bytes(CANARY), b"ctorch\nload\n(V%b\ntR" % bytes(CANARY),
         b"cnumpy\nload\n(V%b\ntR" % bytes(CANARY), b"cbuiltins\ngetattr\n(cos\nsystem\nVx\ntR"]
PREFIXES = ("", "module.", "_orig_mod.", "model.", "module.model.", "_orig_mod.module.", "module._orig_mod.")
WRAPPERS = ("", "state_dict", "model_state_dict", "model", "net")
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class Model(nn.Module):
    """Two parameters and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.g_a = nn.Linear(2, 3)
        self.register_buffer("bound", torch.tensor([0.5]))


def make_state(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    values = {"g_a.weight": torch.arange(6).reshape(3, 2) / 8, "g_a.bias": torch.arange(3) - 1.0,
              "bound": torch.tensor([0.5])}
    return {name: value.to(dtype) for name, value in values.items()}


RIGHT = {name: value.flatten().tolist() for name, value in make_state().items()}


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """What is saved: the weights under some prefix and wrapper, with harmless entries beside them."""
    prefix, wrapper = draw(st.sampled_from(PREFIXES)), draw(st.sampled_from(WRAPPERS))
    state: dict[str, Any] = {prefix + name: value for name, value in make_state(draw(st.sampled_from(DTYPES))).items()}
    if draw(st.booleans()):
        state |= {f"{prefix}g_a.total_ops": torch.zeros(1), f"{prefix}total_params": torch.tensor([3.0])}
    if not wrapper:
        return state
    beside: dict[str, Any] = {"epoch": 3, "best_loss": np.float64(0.25), "optimizer": {"state": {0: torch.ones(2)}},
                              "ema_state_dict": {"a": torch.ones(1)}, "history": [np.float32(1), None], "name": "ä"}
    chosen = draw(st.lists(st.sampled_from(sorted(beside)), max_size=3, unique=True))
    return {**{key: beside[key] for key in chosen}, wrapper: state}


def save(content: dict[str, Any], zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@cache
def saved_zip() -> bytes:
    return save({"epoch": 3, "state_dict": make_state()})


def zip_again(archive: bytes, changes: dict[str, bytes]) -> bytes:
    """A zip file with other contents of some members, all checksums right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name.partition("/")[2], old.read(name)))
    return stream.getvalue()


def read_member(archive: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return next(file.read(member) for member in file.namelist() if member.endswith(name))


@st.composite
def pickles(draw: st.DrawFn) -> bytes:
    """A zip file whose pickle is damaged or calls something, or whose numbers are."""
    archive = saved_zip()
    pickled = read_member(archive, "/data.pkl")
    case = draw(st.sampled_from(["damage", "damage", "call", "data", "order"]))
    if case == "data":
        return zip_again(archive, {"data/0": draw(damaged(read_member(archive, "/data/0")))})
    if case == "order":
        return zip_again(archive, {"byteorder": draw(st.sampled_from([b"big", b"little", b"", b"x", b"\xff"]))})
    if case == "call":
        pickled = pickled[:2] + draw(st.sampled_from(CALLS)) + draw(st.sampled_from([b".", b"0" + pickled[2:]]))
    else:
        pickled = draw(damaged(pickled))
    return zip_again(archive, {"data.pkl": pickled})


@st.composite
def tensor_files(draw: st.DrawFn) -> bytes:
    """A safetensors file whose header says something else."""
    content = safetensors.torch.save(make_state())
    (length,) = struct.unpack("<Q", content[:8])
    header, data = content[8 : 8 + length], content[8 + length :]
    case = draw(st.sampled_from(["values", "bytes", "length"]))
    if case == "values":
        header = draw(wrong_texts(json.loads(header))).encode()
    elif case == "bytes":
        header = draw(damaged(header))
    size = draw(odd_numbers()).ljust(8, b"\0") if case == "length" else struct.pack("<Q", len(header))
    return size + header + data


@st.composite
def checkpoints(draw: st.DrawFn) -> Trial:
    """A whole checkpoint and its values, or a damaged one."""
    case = draw(st.sampled_from(["whole", "whole", "bytes", "pickle", "pickle", "tensors", "call"]))
    name = draw(st.sampled_from(["0.01.pth", "0.0130.pth.tar", "a.pt"]))
    if case == "whole":
        content = draw(contents())
        if draw(st.booleans()) and all(isinstance(value, torch.Tensor) for value in content.values()):
            return Trial({"0.01.safetensors": safetensors.torch.save(content)}, RIGHT, refusable=False)
        return Trial({name: save(content, draw(st.booleans()))}, RIGHT, refusable=False)
    if case == "bytes":
        return Trial({name: draw(damaged(save(make_state(), draw(st.booleans()))))})
    if case == "tensors":
        return Trial({"a.safetensors": draw(tensor_files())})
    if case == "call":
        return Trial({name: b"\x80\x02" + draw(st.sampled_from(CALLS)) + b"."})
    return Trial({name: draw(pickles())})


def read(path: Path) -> Any:
    """Read and load a checkpoint, by shapes alone too, and check that nothing of it ran."""
    model = Model()
    try:
        weights = read_weights(path)
        require_same_shapes(path, weights)
        load_weights(model, weights, str(path))
    finally:
        assert not hasattr(builtins, MARK) and not CANARY.exists(), "code of the file ran"
    values = {name: value.flatten().tolist() for name, value in model.state_dict().items()}
    assert all(math.isfinite(number) for numbers in values.values() for number in numbers), "not finite"
    return values


def require_same_shapes(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """What is read of a file without values has the same names and shapes."""
    try:
        shapes = read_weights(path, shapes_only=True)
    except BenchError:
        return
    assert shapes.keys() == weights.keys()
    assert all(value.shape == weights[name].shape for name, value in shapes.items())


CHECKPOINTS = Generator("checkpoints", checkpoints(), read, 200)
