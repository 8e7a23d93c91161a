"""Learned codecs by specification: a variant's model with the weights of a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.codecs.base import CODECS, CodecEntry, CodecSpec, Preview
from bench.codecs.learned_codec import VERSION, LearnedCodec
from bench.common.errors import BenchError, ConfigurationError
from bench.common.hashing import sha256_of
from bench.common.import_paths import is_import_path
from bench.common.text import EXACT_SUFFIX, list_names
from bench.variants import Variant, find_checkpoints, load_variants

if TYPE_CHECKING:
    from torch import nn

LEARNED = "learned"
ALL, CLASSICAL = "all", "classical"
GROUPS = (ALL, CLASSICAL, LEARNED)  # of codecs, on the command line
# Raise it when a change here or in bench/models changes streams or reconstructions: of the family's models, of others.
REVISION, REVISION_OF_OTHERS = 4, 5


def describe_agreed(settings: Mapping[str, Any]) -> str:
    """Text that differs for files of another model, or of the same one with other options."""
    agreed = [settings["model"], settings["options"]]
    return json.dumps(agreed, sort_keys=True, separators=(",", ":"), default=dict)


def _build(spec: CodecSpec) -> LearnedCodec:
    from bench.models import create_model
    from bench.models.checkpoints import load_weights, read_weights

    model = create_model(spec.settings["model"], **spec.settings["options"])
    checkpoint = Path(spec.location["checkpoint"])
    load_weights(model, read_weights(checkpoint), checkpoint.name)
    return LearnedCodec(model, spec.location.get("device", "cpu"), describe_agreed(spec.settings),
                        spec.settings.get("format", VERSION), spec.settings.get("exact", False))


def _identify(spec: CodecSpec) -> dict[str, Any]:
    model = spec.settings["model"]
    settings = {"model": model, "options": dict(spec.settings["options"]), "metric": spec.settings["metric"]}
    settings |= {name: spec.settings[name] for name in ("format", "exact") if name in spec.settings}  # else as usual
    identity = {
        "coder": _name_coder(),
        "revision": REVISION_OF_OTHERS if ":" in model or model == "lalic" else REVISION,
        "settings": settings,
        "weights_sha256": sha256_of(Path(spec.location["checkpoint"])),
    }
    if is_import_path(model):
        from bench.models.own_models import source_sha256

        identity["source_sha256"] = source_sha256(model)
    return identity


@lru_cache
def _name_coder() -> str:
    return f"compressai {version('compressai')} rANS"  # by reading a file


def _list_imports(spec: CodecSpec) -> tuple[str, ...]:
    from bench.models import list_imports

    return ("bench.models.checkpoints", *list_imports(spec.settings["model"]))


def _preview(spec: CodecSpec) -> Preview:
    """Whether the checkpoint's names and shapes are the model's, and which of its weights are taken."""
    from bench.models.checkpoints import compare_names, read_weights

    checkpoint = Path(spec.location["checkpoint"])
    try:
        model = _find_skeleton(spec.settings["model"], json.dumps(spec.settings["options"]))
        report = compare_names(model, read_weights(checkpoint, shapes_only=True), checkpoint.name)
    except BenchError as error:
        return Preview(fault=str(error))
    except Exception:  # a user's own model needs its weights' values to say: building it will tell
        return Preview()
    if not report.averages:
        return Preview()
    return Preview(note="the weights are taken, not the moving average beside them in"
                        f" {checkpoint.name}: {list_names(report.averages)}")


@lru_cache(maxsize=1)  # the rate points of a variant follow each other
def _find_skeleton(model: str, options: str) -> nn.Module:
    from bench.models import create_skeleton

    return create_skeleton(model, **json.loads(options))


def _operators(spec: CodecSpec) -> str | None:
    """What computes a model's own operators on the device of ``spec``: native code with its flags, or plain torch."""
    from bench.models import find_factory

    if not getattr(find_factory(spec.settings["model"]), "native_operators", ()):
        return None
    from bench.operators import identity

    return identity(spec.location.get("device", "cpu"))


def load_learned(path: Path | None = None) -> dict[str, Variant]:
    """Return the variants of variants.yaml, each of which is a codec here.

    Raises:
        ConfigurationError: the file is wrong, or a variant has the name of another codec or of a group.
    """
    variants = load_variants(path)
    for name, variant in variants.items():
        if name in CODECS or name in GROUPS:
            raise ConfigurationError(f"{variant.where}: variant '{name}' has the name of a codec or of a group of"
                                     " codecs", "give it another")
    return variants


def list_specs(variant: Variant, exact: bool = False) -> list[CodecSpec]:
    """One codec specification for each checkpoint of ``variant`` that is here."""
    return [make_spec(variant, found.lambda_, found.path, exact) for found in find_checkpoints(variant) if found.path]


def make_spec(variant: Variant, lambda_: float, checkpoint: Path, exact: bool = False) -> CodecSpec:
    """The specification of ``variant`` with one checkpoint file.

    Args:
        exact: of the exact configuration, which is a series of its own.
    """
    return CodecSpec(
        codec=LEARNED,
        name=variant.name + EXACT_SUFFIX * exact,
        point=f"{lambda_:g}",
        point_settings={"lambda": lambda_},
        settings={"model": variant.model, "options": variant.options_for(lambda_),
                  "label": variant.label + ", exact" * exact, "miniature": variant.miniature, "metric": variant.metric,
                  **({"exact": True} if exact else {})},
        location={"checkpoint": str(checkpoint)},
    )


CODECS.add(LEARNED, CodecEntry(
    build=_build, identify=_identify, label="learned codec",
    default_specs=lambda: [spec for variant in load_learned().values() for spec in list_specs(variant)],
    colour="RGB", seconds_per_megapixel=8.0, uses_torch=True, operators=_operators, imports=_list_imports,
    preview=_preview,
))
