"""Reads variants.yaml: which models there are, and which of their checkpoints are here."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import ConfigurationError
from bench.common.folders import repository_root
from bench.common.yaml_files import LinedMapping, check_entry, read_yaml

SUFFIXES = (".pth.tar", ".pth", ".pt", ".safetensors")
METRICS = ("mse", "ms-ssim")
NAME = re.compile(r"(?!\.)[\w.-]+")
GROUPS = ("all", "classical", "learned")  # of codecs, on the command line


@dataclass(frozen=True)
class Variant:
    """One entry of variants.yaml; its fields are explained at the top of that file."""

    name: str
    model: str
    label: str
    lambdas: tuple[float, ...]
    line: str = ""
    phase: int | None = None
    after: str | None = None
    changes: str = ""
    metric: str = "mse"
    recipe: str = "standard"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    options_at: Mapping[float, Mapping[str, Any]] = field(default_factory=dict)
    miniature: bool = False
    checkpoints: Path | Mapping[float, Path] = Path()
    where: str = ""  # file and line, for messages

    def options_for(self, lambda_: float) -> dict[str, Any]:
        """The model's options at one rate point."""
        return {**self.options, **self.options_at.get(lambda_, {})}


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one λ: ``path`` is None when none of ``looked_in`` exists."""

    point: str
    lambda_: float
    path: Path | None
    looked_in: tuple[Path, ...]


def variants_file() -> Path:
    """The file that lists the variants: ``BENCH_VARIANTS``, else the checkout's variants.yaml."""
    return Path(os.environ.get("BENCH_VARIANTS") or repository_root() / "variants.yaml")


def load_variants(path: Path | None = None) -> dict[str, Variant]:
    """Read and check variants.yaml.

    Raises:
        ConfigurationError: the file is missing, malformed, or an entry is wrong; the message says where.
    """
    path = path or variants_file()
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("variants"), dict):
        raise ConfigurationError(f"{path} must hold a mapping 'variants'")
    entries = content["variants"]
    if not entries:
        raise ConfigurationError(f"{path}:{entries.line} names no variant", "add one; the file's head explains how")
    variants = {str(name): _variant(str(name), entry, path, entries.line_of(name)) for name, entry in entries.items()}
    for name, variant in variants.items():
        if variant.after is not None and (variant.after == name or variant.after not in variants):
            where = f"{path}:{entries[name].line_of('after')}: variant '{name}'"
            raise ConfigurationError(f"{where} comes after '{variant.after}', which is no other variant",
                                     f"known: {', '.join(variants)}")
    for name in variants:
        if name in _predecessors(name, variants):
            where = f"{path}:{entries[name].line_of('after')}: variant '{name}'"
            raise ConfigurationError(f"{where} comes after itself, by way of '{variants[name].after}'")
    return variants


def _predecessors(name: str, variants: Mapping[str, Variant]) -> list[str]:
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
        raise ConfigurationError(f"there is no variant '{name}'", f"known: {', '.join(variants)}")
    return variants[name]


def trained_otherwise(variants: Iterable[Variant]) -> dict[str, str]:
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
    """Look for the checkpoint of each λ of a variant."""
    found = []
    for lambda_ in variant.lambdas:
        point = f"{lambda_:g}"
        if isinstance(variant.checkpoints, Mapping):
            looked_in = tuple(path for key, path in variant.checkpoints.items() if key == lambda_)
        else:
            looked_in = tuple(variant.checkpoints / f"{point}{suffix}" for suffix in SUFFIXES)
        found.append(Checkpoint(point, lambda_, next((p for p in looked_in if p.is_file()), None), looked_in))
    return found


def specs(variant: Variant) -> list[CodecSpec]:
    """One codec specification for each checkpoint of ``variant`` that is here."""
    return [spec(variant, found.lambda_, found.path) for found in find_checkpoints(variant) if found.path]


def spec(variant: Variant, lambda_: float, checkpoint: Path) -> CodecSpec:
    """The specification of ``variant`` with one checkpoint file."""
    return CodecSpec(
        codec="learned",
        name=variant.name,
        point=f"{lambda_:g}",
        point_settings={"lambda": lambda_},
        settings={"model": variant.model, "options": variant.options_for(lambda_), "label": variant.label,
                  "miniature": variant.miniature, "metric": variant.metric},
        location={"checkpoint": str(checkpoint)},
    )


def _variant(name: str, entry: Any, path: Path, line: int) -> Variant:
    if name in CODECS or name in GROUPS:
        raise ConfigurationError(f"{path}:{line}: variant '{name}' has the name of a codec or of a group of codecs",
                                 "give it another")
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"{path}:{line}: '{name}' can't be a variant's name",
                                 "files are called after it: letters, digits, '_', '-' and '.', no '.' first")
    check_entry(entry, f"variant '{name}'", ("model", "lambdas"), CHECKS, path, line)
    _check_lambdas(name, entry, path)
    return Variant(**{
        "label": name, **entry, "name": name, "lambdas": tuple(map(float, entry["lambdas"])),
        "options_at": {float(lambda_): options for lambda_, options in entry.get("options_at", {}).items()},
        "checkpoints": _checkpoints(entry.get("checkpoints", f"checkpoints/{name}"), path.parent),
        "where": f"{path}:{line}",
    })


def _check_lambdas(name: str, entry: LinedMapping, path: Path) -> None:
    """Check that what is given for single λ is given for λ of the variant, and that no checkpoint is left out."""
    wanted = set(entry["lambdas"])
    files, options = entry.get("checkpoints"), entry.get("options_at", {})
    if isinstance(files, dict) and set(files) != wanted:
        where = f"{path}:{entry.line_of('checkpoints')}: variant '{name}'"
        raise ConfigurationError(f"{where}: 'checkpoints' names files for λ {_listed(files)},"
                                 f" but 'lambdas' are {_listed(entry['lambdas'])}")
    if strange := [lambda_ for lambda_ in options if lambda_ not in wanted]:
        where = f"{path}:{options.line_of(strange[0])}: variant '{name}'"
        raise ConfigurationError(f"{where}: 'options_at' has λ {_listed(strange)},"
                                 f" but 'lambdas' are {_listed(entry['lambdas'])}")


def _checkpoints(value: str | dict[float, str], base: Path) -> Path | dict[float, Path]:
    if isinstance(value, str):
        return base / Path(value).expanduser()
    return {float(lambda_): base / Path(file).expanduser() for lambda_, file in value.items()}


def _listed(lambdas: Iterable[float]) -> str:
    return ", ".join(f"{lambda_:g}" for lambda_ in lambdas)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _lambdas(value: Any) -> bool:
    """Positive numbers whose labels differ, because a label names the rate point and its files."""
    return (isinstance(value, list) and bool(value) and all(map(_positive, value))
            and len({f"{lambda_:g}" for lambda_ in value}) == len(value))


def _options(value: Any) -> bool:
    """A mapping of JSON values, as specifications are sent to other processes."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _options_at(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_positive, value)) and all(map(_options, value.values()))


def _places(value: Any) -> bool:
    files = isinstance(value, dict) and all(
        _positive(lambda_) and isinstance(file, str) for lambda_, file in value.items())
    return isinstance(value, str) or files


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


CHECKS = {  # key: what its value must be, as a test and in words
    "model": (_text, "text"),
    "label": (_text, "text"),
    "line": (_text, "text"),
    "phase": (lambda value: type(value) is int and value > 0, "a positive whole number"),
    "after": (_text, "the name of a variant"),
    "changes": (_text, "text"),
    "lambdas": (_lambdas, "a list of different positive numbers (0.001, not 1e-3)"),
    "metric": (METRICS.__contains__, f"one of {', '.join(METRICS)}"),
    "recipe": (_text, "the name of a recipe of training"),
    "seed": (lambda value: type(value) is int and value >= 0, "a whole number"),
    "options": (_options, "a mapping from the model's options to plain values"),
    "options_at": (_options_at, "a mapping from λ to a mapping from the model's options to plain values"),
    "miniature": (lambda value: isinstance(value, bool), "true or false"),
    "checkpoints": (_places, "a folder or a mapping from λ to file"),
}
