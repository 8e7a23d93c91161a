"""Reads variants.yaml: which models there are, and which of their checkpoints are here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from bench.common.entries import Entry, WrongKey, read_entries
from bench.common.errors import CheckpointError, ConfigurationError
from bench.common.files import explain_os_error
from bench.common.folders import default_file, expand_home
from bench.common.text import is_decimal, suggest_name

SUFFIXES = (".pth.tar", ".pth", ".pt", ".safetensors")
USUAL_LAMBDA = 0.013  # at which costs are measured; options, and so costs, may depend on it
Lambda = Annotated[float, Meta(gt=0, lt=1e9, description="a positive number (0.001, not 1e-3)")]
Name = Annotated[str, Meta(
    pattern=r"^(?!\.)[\w.-]+\Z",
    description="letters, digits, '_', '-' and '.', no '.' first, because files are called after it")]


class Variant(Entry, frozen=True, kw_only=True):
    """One entry of variants.yaml; its keys are explained at the top of that file."""

    name: Name
    model: str
    lambdas: Annotated[tuple[Lambda, ...], Meta(
        min_length=1, description="a list of different positive numbers (0.001, not 1e-3)")]
    label: str = ""  # filled in with the name
    line: str = ""
    phase: Annotated[int, Meta(ge=1, description="a positive whole number")] | None = None
    after: Annotated[str, Meta(description="the name of a variant")] | None = None
    changes: str = ""
    metric: Literal["mse", "ms-ssim"] = "mse"
    recipe: Annotated[str, Meta(description="the name of a recipe of training")] = "standard"
    seed: Annotated[int, Meta(ge=0, description="a whole number that is not negative")] = 0
    options: Annotated[dict[str, Any], Meta(description="a mapping from the model's options to plain values")] = {}
    options_at: Annotated[dict[Lambda, dict[str, Any]], Meta(
        description="a mapping from λ to a mapping from the model's options to plain values")] = {}
    miniature: Annotated[bool, Meta(description="true or false")] = False
    files: Annotated[str | dict[Lambda, str], Meta(description="a folder or a mapping from λ to file")] = field(
        default="", name="checkpoints")

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "label", self.label or self.name)
        if len({f"{lambda_:g}" for lambda_ in self.lambdas}) < len(self.lambdas):  # a label names files
            raise WrongKey("'lambdas' must be a list of different positive numbers", "lambdas")
        lambdas = _join_lambdas(self.lambdas)
        if isinstance(self.files, dict) and set(self.files) != set(self.lambdas):
            raise WrongKey(f"'checkpoints' names files for λ {_join_lambdas(self.files)}, but 'lambdas' are {lambdas}",
                           "checkpoints")
        if strange := [lambda_ for lambda_ in self.options_at if lambda_ not in self.lambdas]:
            raise WrongKey(f"'options_at' has λ {_join_lambdas(strange)}, but 'lambdas' are {lambdas}",
                           "options_at", strange[0])

    @property
    def checkpoints(self) -> Path | dict[float, Path]:
        """The folder of the checkpoints, or the file of each λ."""
        base = Path(self.where.rpartition(":")[0]).parent
        if isinstance(self.files, dict):
            return {lambda_: base / expand_home(file, self.where) for lambda_, file in self.files.items()}
        return base / expand_home(self.files or f"checkpoints/{self.name}", self.where)

    def options_for(self, lambda_: float) -> dict[str, Any]:
        """The model's options at one rate point."""
        return {**self.options, **self.options_at.get(lambda_, {})}


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one λ: ``path`` is None when none of ``looked_in`` exists; ``others`` are there too."""

    point: str
    lambda_: float
    path: Path | None
    looked_in: tuple[Path, ...]
    others: tuple[Path, ...] = ()


def load_variants(path: Path | None = None) -> dict[str, Variant]:
    """Read and check variants.yaml: by default ``BENCH_VARIANTS``, else the checkout's.

    Raises:
        ConfigurationError: the file is missing, malformed, or an entry is wrong; the message says where.
    """
    variants = read_entries(path or default_file("variants.yaml"), Variant, "variant", "variants")
    for name, variant in variants.items():
        if variant.after is not None and (variant.after == name or variant.after not in variants):
            raise variants.error(name, WrongKey(f"comes after '{variant.after}', which is no other variant", "after",
                                                hint=f"known: {', '.join(variants)}"))
    for name, variant in variants.items():
        if name in _list_predecessors(name, variants):
            raise variants.error(name, WrongKey(f"comes after itself, by way of '{variant.after}'", "after"))
    return variants


def _list_predecessors(name: str, variants: Mapping[str, Variant]) -> list[str]:
    """The variant that ``name`` comes after, the one before that, and so on, each once."""
    found: list[str] = []
    while (before := variants[name].after) is not None and before not in found:
        found.append(before)
        name = before
    return found


def get_variant(name: str, path: Path | None = None) -> Variant:
    """Return the variant called ``name``.

    Raises:
        ConfigurationError: there is none, or the file is wrong.
    """
    variants = load_variants(path)
    if name not in variants:
        raise ConfigurationError(f"there is no variant '{name}'", suggest_name(name, variants))
    return variants[name]


def parse_lambda(text: str) -> float:
    """Return the λ that a text says, in plain digits or with an exponent: "0.0067", "6.7e-3".

    Raises:
        ConfigurationError: it is no positive number.
    """
    lambda_ = float(text) if is_decimal(text) else 0.0
    if not 0 < lambda_ < float("inf"):
        raise ConfigurationError(f"'{text}' is no λ", "write a positive number, such as 0.0067")
    return lambda_


def find_trained_otherwise(variants: Iterable[Variant]) -> dict[str, str]:
    """Variants that have the model and options of an earlier one, to that one's name."""
    first: list[Variant] = []
    found = {}
    for variant in variants:
        same = next((one for one in first if (one.model, one.options, one.options_at)
                     == (variant.model, variant.options, variant.options_at)), None)
        if same is None:
            first.append(variant)
        else:
            found[variant.name] = same.name
    return found


def find_checkpoints(variant: Variant) -> list[Checkpoint]:
    """Look for the checkpoint of each λ of a variant.

    In a folder, a file is called after its λ, as a number: "0.0130.pth.tar" will do where "0.013.pth.tar" and its like
    are missing.
    """
    found, place = [], variant.checkpoints
    for lambda_ in variant.lambdas:
        point = f"{lambda_:g}"
        if isinstance(place, Path):
            looked_in = tuple(place / f"{point}{suffix}" for suffix in SUFFIXES)
            alike = _list_numbered(place, lambda_)
        else:
            looked_in, alike = (place[lambda_],), []
        here = [path for path in dict.fromkeys((*looked_in, *alike)) if path.is_file()]
        found.append(Checkpoint(point, lambda_, here[0] if here else None, looked_in, tuple(here[1:])))
    return found


def _list_numbered(folder: Path, lambda_: float) -> list[Path]:
    """Files of a folder whose names are ``lambda_`` in other digits, in the order of suffixes."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    stems = [(name[:-len(suffix)], folder / name) for suffix in SUFFIXES for name in names
             if name.lower().endswith(suffix)]
    return [path for stem, path in stems if is_decimal(stem) and float(stem) == lambda_]


def require_checkpoint(path: Path) -> None:
    """Refuse a file of weights that can't be opened.

    Raises:
        CheckpointError: it is not there, or can't be read.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint file {path}",
                              "python -m bench variants NAME lists where those of a variant are") from None
    except OSError as error:
        fault = explain_os_error(error, f"can't read {path}")
        raise CheckpointError(fault.args[0], fault.hint) from None


def find_usual_weights(variant: Variant) -> tuple[float, Path | None]:
    """λ and checkpoint nearest to the usual λ; a λ without a checkpoint only where no other has one."""
    found = find_checkpoints(variant)
    here = [one for one in found if one.path is not None] or found
    nearest = min(here, key=lambda one: abs(math.log(one.lambda_ / USUAL_LAMBDA)))
    return nearest.lambda_, nearest.path


def label_weights(lambda_: float, checkpoint: Path | None) -> str:
    """How rows of latencies call weights."""
    return "synthetic" if checkpoint is None else f"checkpoint, λ {lambda_:g}"


def _join_lambdas(lambdas: Iterable[float]) -> str:
    return ", ".join(f"{lambda_:g}" for lambda_ in lambdas)
