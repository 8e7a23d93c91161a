"""Loads the weights of checkpoints into models, and says what did not fit; writes weights.

Names may begin with what wrappers put there (:mod:`bench.models.weight_names`); the coder's tables may be absent, empty
or of any size: they are rebuilt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from bench.common.errors import CheckpointError
from bench.common.files import whole
from bench.common.text import list_names
from bench.models.checkpoint_files import Weights, read_note, read_weights
from bench.models.coding_tables import use_tables
from bench.models.weight_names import find_common_prefix, is_counter, match_names

__all__ = ["LoadReport", "Weights", "bare_weights", "compare_names", "is_rebuilt", "load_weights", "read_note",
           "read_weights", "write_float16", "write_weights"]
FIRST = 3  # names that a message lists of many


@dataclass(frozen=True)
class LoadReport:
    """What loading did.

    Attributes:
        filled: parameters and constants that the file lacks and whose value is known.
        ignored: entries of the file that are rebuilt after loading: tables.
        counters: entries of the file that count something and don't change the output.
        averages: what the file calls moving averages of the weights, which lie beside those that were taken.
        training: what begins the names of the file's entries that training alone needs: of losses.
    """

    filled: tuple[str, ...]
    ignored: tuple[str, ...]
    counters: tuple[str, ...] = ()
    averages: tuple[str, ...] = ()
    training: tuple[str, ...] = ()


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
            differs, so that the output would change; the message lists it. The model is then unchanged. Or its
            coding tables can't be built.
    """
    fit = _compare(model, weights)
    _refuse_problems(model, {**fit.problems, **_find_unusable(fit)}, fit, origin)
    with torch.no_grad():
        for name, value in fit.wanted.items():
            if (known := fit.filled.get(name)) is not None:
                value.fill_(known)
            elif name not in fit.filled and name not in fit.constants:
                value.copy_(fit.weights[name])

    use_tables(model)
    return fit.report


def compare_names(model: nn.Module, weights: dict[str, Tensor], origin: str = "the checkpoint") -> LoadReport:
    """Say what loading would do, by names and shapes alone; nothing is loaded.

    Args:
        model, weights, origin: see :func:`load_weights`; neither needs values.

    Raises:
        CheckpointError: something is missing, unexpected or of another shape.
    """
    fit = _compare(model, weights)
    _refuse_problems(model, fit.problems, fit, origin)
    return fit.report


@dataclass(frozen=True)
class _Fit:
    """A file's tensors beside a model's.

    Attributes:
        weights: the file's, under the model's names.
        wanted: the model's that come from files.
        constants: names of those of one number, which the model keeps.
        filled: value of each that the file lacks and that is known.
        problems: names by what is wrong with them, as far as names and shapes tell.
    """

    weights: dict[str, Tensor]
    wanted: dict[str, Tensor]
    constants: set[str]
    filled: dict[str, float]
    problems: dict[str, list[str]]
    report: LoadReport


def _compare(model: nn.Module, weights: dict[str, Tensor]) -> _Fit:
    """Bring a file's tensors to the model's names, and find what does not fit."""
    wanted = {name: value for name, value in model.state_dict().items()
              if not (is_rebuilt(model, name) or is_counter(name))}
    matched = match_names(weights, wanted)
    found = matched.weights
    if rename := getattr(model, "rename", None):
        found = rename(found)

    constants = {name for name, value in model.named_buffers() if name in wanted and value.numel() == 1}
    missing = [name for name in wanted if name not in found and name not in constants]
    fillings = getattr(model, "fill_missing", {}).items()
    filled = {name: value for name in missing for prefix, value in fillings if name.startswith(prefix)}
    problems = {
        "missing": [name for name in missing if name not in filled],
        "unexpected": [name for name in found if name not in wanted and not is_rebuilt(model, name)],
        "of another shape": [f"{name} {tuple(found[name].shape)} instead of {tuple(value.shape)}"
                             for name, value in wanted.items() if name in found and found[name].shape != value.shape],
    }

    absent = (*filled, *(name for name in wanted if name in constants and name not in found))
    averages = (*getattr(weights, "averages", ()), *matched.averages)
    report = LoadReport(absent, tuple(name for name in found if is_rebuilt(model, name)), matched.counters, averages,
                        matched.training)
    return _Fit(found, wanted, constants, filled, problems, report)


def _refuse_problems(model: nn.Module, problems: Mapping[str, list[str]], fit: _Fit, origin: str) -> None:
    """Raise a CheckpointError that lists what is wrong, if anything is."""
    if not any(problems.values()):
        return
    listed = "; ".join(f"{kind}: {list_names(names, FIRST)}" for kind, names in problems.items() if names)
    prefix = find_common_prefix(name for name in fit.weights if not is_rebuilt(model, name))
    if problems["missing"] and prefix and find_common_prefix(fit.wanted) != prefix:
        listed += f"; all names of the file begin with '{prefix}'"
    raise CheckpointError(f"{origin} does not fit {type(model).__name__}: {listed}",
                          "check that the variant and its options are those the file was trained with")


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
        BenchError: the file can't be written.
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
        BenchError: the file can't be written.
    """
    _write_safetensors(bare_weights(model), path, note)


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
        try:
            safetensors.torch.save_file({name: value.contiguous() for name, value in weights.items()}, temporary, note)
        except safetensors.SafetensorError as error:
            if number := re.search(r"\(os error (\d+)\)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise


def _find_unusable(fit: _Fit) -> dict[str, list[str]]:
    """Names of the file's tensors whose values can't be taken over, by reason.

    Of another shape they are not looked at: a file of a few bytes can announce one of terabytes.
    """
    found = {name: fit.weights[name] for name, value in fit.wanted.items()
             if name in fit.weights and fit.weights[name].shape == value.shape}
    floating = {name: value for name, value in found.items()
                if value.is_floating_point() and value.layout == torch.strided and not value.is_meta}

    return {
        "not floating-point numbers": [name for name in found if name not in floating],
        # Cast first: a float64 may be finite and its float32 not.
        "not finite": [name for name, value in floating.items()
                       if not torch.isfinite(value.to(fit.wanted[name].dtype)).all()],
        "another constant": [name for name, value in floating.items()
                             if name in fit.constants and not _is_rounded(value, fit.wanted[name])],
    }


def _is_rounded(value: Tensor, constant: Tensor) -> bool:
    """Whether ``value`` is ``constant`` in the one's or the other's precision."""
    return torch.equal(value, constant.to(value.dtype)) or torch.equal(value.to(constant.dtype), constant)


def is_rebuilt(model: nn.Module, name: str) -> bool:
    """Say whether an entry of a state dict is never read from a file.

    Args:
        model: whose ``rebuilt`` lists such entries, by name or last parts of a name.
        name: of the entry.
    """
    return any(f".{name}".endswith(f".{tail}") for tail in getattr(model, "rebuilt", ()))
