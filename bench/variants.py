"""Reads variants.yaml: which models there are, and which of their checkpoints are here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.codecs.base import CodecSpec
from bench.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = (".pth.tar", ".pth", ".pt", ".safetensors")
KEYS = {"model", "label", "line", "changes", "lambdas", "metric", "options", "miniature", "checkpoints"}
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
    """The file that lists the variants: ``BENCH_VARIANTS``, else variants.yaml of the repository or folder."""
    if "BENCH_VARIANTS" in os.environ:
        return Path(os.environ["BENCH_VARIANTS"])
    return next((path for path in (ROOT / "variants.yaml", Path("variants.yaml")) if path.exists()), ROOT / "variants.yaml")


def load_variants(path: Path | None = None) -> dict[str, Variant]:
    """Read and check variants.yaml.

    Raises:
        ConfigurationError: the file is missing, malformed, or an entry is wrong; the message says where.
    """
    path = path or variants_file()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"can't read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no valid YAML: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("variants"), dict):
        raise ConfigurationError(f"{path} must hold a mapping 'variants'")
    return {name: _variant(name, entry, path) for name, entry in content["variants"].items()}


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


def _variant(name: Any, entry: Any, path: Path) -> Variant:
    where = f"{path}: variant '{name}'"
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where} must be a mapping")
    if unknown := sorted(set(map(str, entry)) - KEYS):
        raise ConfigurationError(f"{where} has unknown keys {', '.join(unknown)}", f"known: {', '.join(sorted(KEYS))}")
    for key in ("model", "lambdas"):
        if key not in entry:
            raise ConfigurationError(f"{where} lacks '{key}'")
    lambdas = entry["lambdas"]
    if not isinstance(lambdas, list) or not lambdas or not all(_positive(value) for value in lambdas):
        raise ConfigurationError(f"{where}: 'lambdas' must be a list of positive numbers, got {lambdas!r}")
    if entry.get("metric", "mse") not in METRICS:
        raise ConfigurationError(f"{where}: 'metric' must be one of {', '.join(METRICS)}, got {entry['metric']!r}")
    if not isinstance(entry.get("options", {}), dict):
        raise ConfigurationError(f"{where}: 'options' must be a mapping")
    if not isinstance(entry.get("miniature", False), bool):
        raise ConfigurationError(f"{where}: 'miniature' must be true or false")
    return Variant(**{
        "label": str(name), **entry, "name": str(name), "lambdas": tuple(map(float, lambdas)),
        "checkpoints": _checkpoints(entry.get("checkpoints", f"checkpoints/{name}"), path.parent, where),
    })


def _checkpoints(value: Any, base: Path, where: str) -> Path | dict[float, Path]:
    if isinstance(value, str):
        return base / value
    if isinstance(value, dict) and all(_positive(key) and isinstance(file, str) for key, file in value.items()):
        return {float(key): base / file for key, file in value.items()}
    raise ConfigurationError(f"{where}: 'checkpoints' must be a folder or a mapping from λ to file, got {value!r}")


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
