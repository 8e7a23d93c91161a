"""Reads variants.yaml: which models there are, and which of their checkpoints are here."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.codecs.base import CodecSpec
from bench.errors import ConfigurationError
from bench.folders import repository_root
from bench.lined_yaml import LinedMapping, read_yaml

SUFFIXES = (".pth.tar", ".pth", ".pt", ".safetensors")
METRICS = ("mse", "ms-ssim")


@dataclass(frozen=True)
class Variant:
    """One entry of variants.yaml; its fields are explained at the top of that file."""

    name: str
    model: str
    label: str
    lambdas: tuple[float, ...]
    line: str = ""
    changes: str = ""
    metric: str = "mse"
    options: Mapping[str, Any] = field(default_factory=dict)
    miniature: bool = False
    checkpoints: Path | Mapping[float, Path] = Path()


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
    return {str(name): _variant(str(name), entry, path, entries.line_of(name))
            for name, entry in entries.items()}


def get_variant(name: str, path: Path | None = None) -> Variant:
    """Return the variant called ``name``.

    Raises:
        ConfigurationError: there is none, or the file is wrong.
    """
    variants = load_variants(path)
    if name not in variants:
        raise ConfigurationError(f"there is no variant '{name}'", f"known: {', '.join(variants)}")
    return variants[name]


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
        settings={"model": variant.model, "options": dict(variant.options), "label": variant.label,
                  "miniature": variant.miniature, "metric": variant.metric},
        location={"checkpoint": str(checkpoint)},
    )


def _variant(name: str, entry: Any, path: Path, line: int) -> Variant:
    if not isinstance(entry, LinedMapping):
        raise ConfigurationError(f"{path}:{line}: variant '{name}' must be a mapping")
    for key in ("model", "lambdas"):
        if key not in entry:
            raise ConfigurationError(f"{path}:{line}: variant '{name}' lacks '{key}'")
    for key, value in entry.items():
        where = f"{path}:{entry.line_of(key)}: variant '{name}'"
        if key not in CHECKS:
            raise ConfigurationError(f"{where} has the unknown key '{key}'", f"known: {', '.join(CHECKS)}")
        good, expected = CHECKS[key]
        if not good(value):
            raise ConfigurationError(f"{where}: '{key}' must be {expected}, got {value!r}")
    files = entry.get("checkpoints")
    if isinstance(files, dict) and set(files) != set(entry["lambdas"]):
        where = f"{path}:{entry.line_of('checkpoints')}: variant '{name}'"
        raise ConfigurationError(f"{where}: 'checkpoints' names files for λ {_listed(files)},"
                                 f" but 'lambdas' are {_listed(entry['lambdas'])}")
    return Variant(**{
        "label": name, **entry, "name": name, "lambdas": tuple(map(float, entry["lambdas"])),
        "checkpoints": _checkpoints(entry.get("checkpoints", f"checkpoints/{name}"), path.parent),
    })


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
    "changes": (_text, "text"),
    "lambdas": (_lambdas, "a list of different positive numbers (0.001, not 1e-3)"),
    "metric": (METRICS.__contains__, f"one of {', '.join(METRICS)}"),
    "options": (_options, "a mapping from the model's options to plain values"),
    "miniature": (lambda value: isinstance(value, bool), "true or false"),
    "checkpoints": (_places, "a folder or a mapping from λ to file"),
}
