"""Reads checkpoints of every published layout into a model, and says what did not fit.

Layouts: a bare state dict or one wrapped in a dictionary; keys with or without the prefix of a multi-GPU
wrapper; the coder's tables absent, empty or of any size (they are rebuilt); safetensors. Files are never
unpickled into code: ``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from bench.errors import CheckpointError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
PREFIX = "module."
NAMES_SHOWN = 8


@dataclass(frozen=True)
class LoadReport:
    """What loading did.

    Attributes:
        filled: parameters that the file lacks and the specification gives a value for.
        ignored: entries of the file that do not change the output (tables, rebuilt after loading).
    """

    filled: tuple[str, ...]
    ignored: tuple[str, ...]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint file by their bare names.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, or would run code when unpickled.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for _ in WRAPPERS:
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) < len(content):
        raise CheckpointError(
            f"{path} holds no state dict; its keys are {', '.join(map(str, list(content)[:NAMES_SHOWN]))}",
            f"expected tensors by name, bare or under one of {', '.join(WRAPPERS)}",
        )
    return {key.removeprefix(PREFIX): value for key, value in tensors.items()}


def load_weights(model: nn.Module, weights: dict[str, Tensor], origin: str = "the checkpoint") -> LoadReport:
    """Copy ``weights`` into ``model`` and rebuild its coding tables.

    The model may have ``rebuilt_buffers`` (names never read from a file) and ``fill_missing`` (name prefix to
    value, for parameters that some published files lack).

    Raises:
        CheckpointError: something is missing, unexpected or of another shape, so that the output would change;
            the message lists it.
    """
    rebuilt = set(getattr(model, "rebuilt_buffers", ()))
    fill = getattr(model, "fill_missing", {})
    wanted = {name: value for name, value in model.state_dict().items() if name not in rebuilt}
    missing = [name for name in wanted if name not in weights]
    filled = {name: _filling(name, fill) for name in missing if _filling(name, fill) is not None}
    problems = {
        "missing": [name for name in missing if name not in filled],
        "unexpected": [name for name in weights if name not in wanted and name not in rebuilt],
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(value.shape)}"
            for name, value in wanted.items() if name in weights and weights[name].shape != value.shape
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{kind}: {_some(names)}" for kind, names in problems.items() if names)
        raise CheckpointError(f"{origin} does not fit {type(model).__name__}: {told}",
                              "check that the variant and its options are those the file was trained with")
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(weights[name]) if name in weights else value.fill_(filled[name])
    if hasattr(model, "update"):
        model.update(force=True)
    return LoadReport(tuple(filled), tuple(name for name in weights if name in rebuilt))


def write_float16(weights: dict[str, Tensor], path: Path, note: dict[str, str]) -> None:
    """Write ``weights`` as float16 safetensors with a note of their origin.

    Single numbers stay float32: they are constants such as the bound of 1e-9, which float16 can't hold. Empty
    and integer tensors, the coder's tables, are left out.
    """
    kept = {name: value.detach().contiguous() for name, value in weights.items()
            if value.is_floating_point() and value.numel()}
    halves = {name: value if value.numel() == 1 else value.half() for name, value in kept.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    safetensors.torch.save_file(halves, temporary, note)
    os.replace(temporary, path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is no safetensors file, or a truncated one: {error}") from None


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path} is not loaded: it is damaged, or would run code when unpickled ({refused})",
                              "save the plain state dict with torch.save(model.state_dict(), file)") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is no checkpoint, or a truncated one: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a state dict")
    return content


def _filling(name: str, fill: dict[str, float]) -> float | None:
    return next((value for prefix, value in fill.items() if name.startswith(prefix)), None)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
