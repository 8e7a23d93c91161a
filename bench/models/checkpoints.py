"""Reads checkpoints of every published layout into a model, and says what did not fit.

Layouts: a bare state dict or one wrapped in a dictionary; keys with or without the prefix of a multi-GPU
wrapper; the coder's tables absent, empty or of any size (they are rebuilt); safetensors. Files are never
unpickled into code: ``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from bench.common.errors import CheckpointError
from bench.common.files import whole
from bench.common.text import list_names
from bench.models.coding_tables import use_tables

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
PREFIX = "module."
PLAIN = "save the plain state dict with torch.save(model.state_dict(), file)"


@dataclass(frozen=True)
class LoadReport:
    """What loading did.

    Attributes:
        filled: parameters and constants that the file lacks and whose value is known.
        ignored: entries of the file that do not change the output (tables, rebuilt after loading).
    """

    filled: tuple[str, ...]
    ignored: tuple[str, ...]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint file of any published layout.

    Args:
        path: a safetensors file, or one of ``torch.save``.

    Returns:
        Tensors by name, without the prefix of a multi-GPU wrapper.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, or would run code when unpickled.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no checkpoint file {path}")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"can't read {path}: permission denied")

    content: dict[Any, Any] = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for _ in WRAPPERS:
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    if not content or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        raise CheckpointError(f"{path} holds no state dict; its keys are {list_names(map(str, content)) or 'none'}",
                              f"expected tensors by name, bare or under one of {', '.join(WRAPPERS)}")

    twice = [key for key in content if key.startswith(PREFIX) and key.removeprefix(PREFIX) in content]
    if twice:
        raise CheckpointError(f"{path} holds entries with and without the prefix: {list_names(twice)}", PLAIN)
    return {key.removeprefix(PREFIX): value for key, value in content.items()}


def load_weights(model: nn.Module, weights: dict[str, Tensor], origin: str = "the checkpoint") -> LoadReport:
    """Copy ``weights`` into ``model`` and rebuild its coding tables.

    The model may have ``rebuilt``, ``fill_missing`` (see :class:`bench.models.image_codec.ImageCodec`) and ``rename``
    (brings a file's entries to the model's names). Its buffers of one number are constants, such as the bound of 1e-9:
    the model's own are kept, and a file may lack them or hold them rounded to float16.

    Args:
        model: takes the weights, in place.
        weights: tensors by name.
        origin: how messages call them.

    Returns:
        What was filled in and what was passed over.

    Raises:
        CheckpointError: something is missing, unexpected, of another shape or not finite, or a constant
            differs, so that the output would change; the message lists it. The model is then unchanged.
    """
    if rename := getattr(model, "rename", None):
        weights = rename(weights)

    wanted = {name: value for name, value in model.state_dict().items() if not is_rebuilt(model, name)}
    constants = {name for name, value in model.named_buffers() if name in wanted and value.numel() == 1}
    missing = [name for name in wanted if name not in weights and name not in constants]
    fillings = getattr(model, "fill_missing", {}).items()
    filled = {name: value for name in missing for prefix, value in fillings if name.startswith(prefix)}

    problems = {
        "missing": [name for name in missing if name not in filled],
        "unexpected": [name for name in weights if name not in wanted and not is_rebuilt(model, name)],
        **_find_unusable({name: weights[name] for name in wanted if name in weights}, wanted, constants),
    }
    if any(problems.values()):
        listed = "; ".join(f"{kind}: {list_names(names)}" for kind, names in problems.items() if names)
        raise CheckpointError(f"{origin} does not fit {type(model).__name__}: {listed}",
                              "check that the variant and its options are those the file was trained with")

    with torch.no_grad():
        for name, value in wanted.items():
            if (known := filled.get(name)) is not None:
                value.fill_(known)
            elif name not in filled and name not in constants:
                value.copy_(weights[name])

    use_tables(model)
    absent = (*filled, *(name for name in wanted if name in constants and name not in weights))
    return LoadReport(absent, tuple(name for name in weights if is_rebuilt(model, name)))


def write_float16(model: nn.Module, path: Path, note: dict[str, str]) -> None:
    """Write the weights of ``model`` as float16 safetensors.

    Single numbers stay float32: they are constants such as the bound of 1e-9, which float16 can't hold. The
    coder's tables are left out.

    Args:
        model: whose weights are written.
        path: the file; its folder is made.
        note: of the weights' origin, kept in the file's header.

    Raises:
        CheckpointError: a weight is not finite, or too large for float16.
        OSError: the file can't be written.
    """
    weights = bare_weights(model)
    halves = {name: value if value.numel() == 1 else value.half() for name, value in weights.items()}
    if lost := [name for name, value in halves.items() if not torch.isfinite(value).all()]:
        raise CheckpointError(f"float16 can't hold the weights of {list_names(lost)}")
    _write_safetensors(halves, path, note)


def write_weights(model: nn.Module, path: Path, note: dict[str, str]) -> None:
    """Write the weights of ``model`` as safetensors, as they are, without the coder's tables.

    Args:
        model, path, note: see :func:`write_float16`.

    Raises:
        OSError: the file can't be written.
    """
    _write_safetensors(bare_weights(model), path, note)


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


def bare_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of ``model``, detached and without what is rebuilt after loading.

    Args:
        model: any module; ``rebuilt`` counts where it has it.

    Returns:
        Tensors by name, which share the model's memory.
    """
    return {name: value.detach() for name, value in model.state_dict().items() if not is_rebuilt(model, name)}


def _write_safetensors(weights: dict[str, Tensor], path: Path, note: dict[str, str]) -> None:
    """Write tensors and a note, the file whole or not at all."""
    with whole(path) as temporary:
        safetensors.torch.save_file({name: value.contiguous() for name, value in weights.items()}, temporary, note)


def _find_unusable(found: dict[str, Tensor], wanted: dict[str, Tensor], constants: set[str]) -> dict[str, list[str]]:
    """Names of the file's tensors that can't be taken over, by reason."""
    shapes = [f"{name} {tuple(value.shape)} instead of {tuple(wanted[name].shape)}"
              for name, value in found.items() if value.shape != wanted[name].shape]

    floating = {name: value for name, value in found.items()
                if value.is_floating_point() and value.layout == torch.strided and not value.is_meta}

    return {
        "of another shape": shapes,
        "not floating-point numbers": [name for name in found if name not in floating],
        # Cast first: a float64 may be finite and its float32 not.
        "not finite": [name for name, value in floating.items()
                       if not torch.isfinite(value.to(wanted[name].dtype)).all()],
        "another constant": [name for name, value in floating.items()
                             if name in constants and not _is_rounded(value, wanted[name])],
    }


def _is_rounded(value: Tensor, constant: Tensor) -> bool:
    """Whether ``value`` is ``constant`` in the one's or the other's precision."""
    return torch.equal(value, constant.to(value.dtype)) or torch.equal(value.to(constant.dtype), constant)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file by name."""
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # damaged files raise many kinds
        raise CheckpointError(f"{path} is no safetensors file, or a truncated one: {error}") from None


def _read_torch(path: Path) -> dict[Any, Any]:
    """Dictionary that ``torch.save`` wrote, without running code of the file's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise nearly any kind
        raise _explain_refusal(path, error) from None

    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a state dict", PLAIN)
    return content


def _explain_refusal(path: Path, error: Exception) -> CheckpointError:
    """What to tell of a file that torch does not load; not torch's own advice, which is to trust the file."""
    if isinstance(error, OSError) and error.strerror:
        return CheckpointError(f"can't read {path}: {error.strerror}")
    if called := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return CheckpointError(f"{path} is not loaded: it would run code when unpickled ({called[1]})", PLAIN)
    return CheckpointError(f"{path} is no checkpoint of plain tensors, or a truncated or damaged one",
                           "fetch or copy it again and compare its checksum; or save it anew, state dict alone")


def is_rebuilt(model: nn.Module, name: str) -> bool:
    """Say whether an entry of a state dict is never read from a file.

    Args:
        model: whose ``rebuilt`` lists such entries, by name or last parts of a name.
        name: of the entry.
    """
    return any(f".{name}".endswith(f".{tail}") for tail in getattr(model, "rebuilt", ()))
