"""Reads checkpoint files of every published layout, without running code of theirs.

Layouts: a bare state dict or one wrapped in a dictionary; safetensors. Files are never unpickled into code:
``torch.load(weights_only=True)``, in which numpy's numbers become a stand-in that does nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.serialization import safe_globals

from bench.common.errors import CheckpointError
from bench.common.text import list_names
from bench.models.weight_names import PREFIX, drop_compiler_names, is_average
from bench.variants import require_checkpoint

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_ZIP_START = b"PK\3\4"
PLAIN = "save the plain state dict with torch.save(model.state_dict(), file)"


class Weights(dict[str, Tensor]):
    """Tensors of a file by name.

    Attributes:
        averages: state dicts of moving averages that lie beside it in the file, and were not taken.
    """

    def __init__(self, tensors: Mapping[str, Tensor], averages: tuple[str, ...] = ()) -> None:
        super().__init__(tensors)
        self.averages = averages


class _Number:
    """Stands for a number of numpy's beside the weights, such as a best loss; its value is of no use."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_NUMBERS: list[Any] = [(_Number, name) for name in (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")]


def read_weights(path: Path, *, shapes_only: bool = False) -> Weights:
    """Read a checkpoint file of any published layout.

    Args:
        path: a safetensors file, or one of ``torch.save``.
        shapes_only: give tensors without values, and read no more of the file than that takes.

    Returns:
        Tensors by name, without what torch's compiler adds to names.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, or would run code when unpickled.
    """
    require_checkpoint(path)
    read = _read_safetensors if path.suffix.lower() == ".safetensors" else _read_torch
    content, averages = _unwrap(read(path, shapes_only), path)

    strange = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange or not content:
        mixed = f"; of these no tensors: {list_names(strange)}" if len(strange) < len(content) else ""
        keys = list_names(map(str, content)) or "none"
        raise CheckpointError(f"{path} holds no state dict; its keys are {keys}{mixed}",
                              f"expected tensors by name, bare or under one of {', '.join(WRAPPERS)}")

    twice = [key for key in content for name in [drop_compiler_names(key).removeprefix(PREFIX)]
             if name != key and name in content]
    if twice:
        raise CheckpointError(f"{path} holds entries with and without the prefix: {list_names(twice)}", PLAIN)
    if shapes_only:
        content = {key: torch.empty(value.shape, dtype=value.dtype, device="meta") for key, value in content.items()}
    return Weights({drop_compiler_names(key): value for key, value in content.items()}, averages)


def _unwrap(content: dict[Any, Any], path: Path) -> tuple[dict[Any, Any], tuple[str, ...]]:
    """Return what lies in a file's wrappers, and the names of the averages beside it."""
    averages: list[str] = []
    for _ in WRAPPERS:
        wrappers = [key for key in WRAPPERS if isinstance(content.get(key), dict)]
        if sum(bool(content[key]) for key in wrappers) > 1:
            raise CheckpointError(f"{path} holds several state dicts: {list_names(wrappers)}", PLAIN)
        if not wrappers:
            break
        averages += [key for key, value in content.items()
                     if isinstance(key, str) and isinstance(value, dict) and is_average(key)]
        content = next((content[key] for key in wrappers if content[key]), {})
    return content, tuple(averages)


def read_note(path: Path) -> dict[str, str]:
    """Read the note of a safetensors file's origin.

    Args:
        path: the file.

    Returns:
        What was given to :func:`write_weights`; empty where there is none, or no such file.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError):
        return {}


def _read_safetensors(path: Path, shapes_only: bool) -> dict[str, Tensor]:
    """Tensors of a safetensors file by name."""
    try:
        if not shapes_only:
            return safetensors.torch.load_file(path)
        with safetensors.safe_open(path, "pt") as file:
            return {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in file.keys()}
    except Exception as error:  # damaged files raise many kinds
        raise CheckpointError(f"{path} is no safetensors file, or a truncated one: {error}") from None


def _read_torch(path: Path, shapes_only: bool) -> dict[Any, Any]:
    """Dictionary that ``torch.save`` wrote, without running code of the file's.

    Where shapes are enough a zip file is mapped, since torch dies when it loads one of another byte order onto "meta".
    """
    try:
        with warnings.catch_warnings(), safe_globals(_NUMBERS):
            warnings.simplefilter("ignore")  # torch warns of pickles that it then refuses
            mapped = shapes_only and _is_zip(path)
            device = "meta" if shapes_only and not mapped else "cpu"
            content = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
    except Exception as error:  # damaged files raise nearly any kind
        raise _explain_refusal(path, error) from None

    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a state dict", PLAIN)
    return content


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP_START)) == _ZIP_START


def _explain_refusal(path: Path, error: Exception) -> CheckpointError:
    """What to tell of a file that torch does not load; not torch's own advice, which is to trust the file."""
    if isinstance(error, OSError) and error.strerror:
        return CheckpointError(f"can't read {path}: {error.strerror}")
    if called := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return CheckpointError(f"{path} is not loaded: it would run code when unpickled ({called[1]})", PLAIN)
    return CheckpointError(f"{path} is no checkpoint of plain tensors, or a truncated or damaged one",
                           "fetch or copy it again and compare its checksum; or save it anew, state dict alone")
