"""What is profiled: which variants with which weights, and the picture they code."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.codecs.learned import describe_agreed
from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import ConfigurationError
from bench.common.hashing import sha256_of
from bench.common.import_paths import is_import_path
from bench.datasets import read_rgb8, resolve_dataset
from bench.models import create_model, find_factory
from bench.models.checkpoints import load_weights, read_weights
from bench.models.coding_tables import use_tables
from bench.models.hyperprior import HyperpriorCodec
from bench.models.own_models import source_sha256
from bench.operators import identity as operator_identity
from bench.operators import rans
from bench.runners.profile.configurations import CONFIGURATIONS, DEFAULT
from bench.runners.profile.synthetic_weights import enliven_model
from bench.variants import (
    Variant,
    find_trained_otherwise,
    find_usual_weights,
    get_variant,
    label_weights,
    load_variants,
)

ONLY_WHEN_NAMED = ("hpcm_1b", "cheng2020_attn")  # 10 GB; one value after another: each minutes of a default run
SEED = 0
CALIBRATION_SIDE = 256
PICTURES = "sample"  # the set whose images a picture is made of: it comes with the suite


@dataclass(frozen=True, eq=False)
class Subject:
    """One variant at one rate point in one configuration.

    Attributes:
        checkpoint: None for synthetic weights.
        configuration: one of ``CONFIGURATIONS``.
    """

    variant: Variant
    lambda_: float
    checkpoint: Path | None = None
    configuration: str = DEFAULT

    @property
    def name(self) -> str:
        """The variant's."""
        return self.variant.name

    @property
    def title(self) -> str:
        """The variant's name, with the configuration where it isn't the default."""
        return self.name if self.configuration == DEFAULT else f"{self.name} ({self.configuration})"

    @property
    def weights(self) -> str:
        """How rows call the weights."""
        return label_weights(self.lambda_, self.checkpoint)

    @property
    def options(self) -> dict[str, Any]:
        """The model's."""
        return self.variant.options_for(self.lambda_)


def choose_subjects(names: Sequence[str], configurations: Sequence[str], device: str) -> list[Subject]:
    """Return what to profile: the named variants, or all at full width that are not huge.

    Unless it is named, a variant without checkpoints is left out when an earlier one has the same model and options:
    it is only trained otherwise, and costs the same. Configurations that a device doesn't have are left out.

    Raises:
        ConfigurationError: an unknown variant or configuration, or no configuration that the device has.
    """
    variants = [get_variant(name) for name in dict.fromkeys(names)] or _different_variants()
    wanted = [name for name in dict.fromkeys(configurations) if device in CONFIGURATIONS.get(name).devices]
    if not wanted:
        raise ConfigurationError(f"{', '.join(configurations)} can't be measured on {device}",
                                 "choose another --device or other --configurations")
    return [Subject(variant, *find_usual_weights(variant), configuration)
            for variant, configuration in itertools.product(variants, wanted)]


def _different_variants() -> list[Variant]:
    """All at full width but those that would be an earlier one's model measured again with synthetic weights."""
    variants = [variant for variant in load_variants().values()
                if not variant.miniature and variant.name not in ONLY_WHEN_NAMED]
    again = find_trained_otherwise(variants)
    return [variant for variant in variants if variant.name not in again or find_usual_weights(variant)[1]]


def build_codec(subject: Subject, device: str) -> tuple[LearnedCodec, nn.Module]:
    """Build a subject's codec with its weights in the default configuration; returns it and its model.

    Synthetic weights are made on the CPU, so that every device gets the same ones.
    """
    if subject.checkpoint is None:
        model = make_lively_model(subject.variant.model, subject.options)
    else:
        model = create_model(subject.variant.model, **subject.options)
        load_weights(model, read_weights(subject.checkpoint), subject.checkpoint.name)
    agreed = describe_agreed({"model": subject.variant.model, "options": subject.options})
    return LearnedCodec(model, device, agreed), model


def make_lively_model(name: str, options: Mapping[str, Any] = {}, seed: int = SEED) -> nn.Module:
    """Build a model on the CPU, with coding tables and a rate like a trained one's; the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = create_model(name, **options)

    if type(model).forward is not nn.Module.forward:  # else there is no rate to go by
        side, multiple = CALIBRATION_SIDE, model.padding_multiple
        if not isinstance(model, HyperpriorCodec):  # the suite's own take it all, those that are padded to 512 too
            side = multiple * max(1, side // multiple)  # what needs no padding
        enliven_model(model, torch.from_numpy(make_picture(side, side)).permute(2, 0, 1)[None] / 255, seed)
    else:
        use_tables(model)
    return model


def make_picture(width: int, height: int, number: int = 0) -> np.ndarray:
    """A photograph, mirrored at its borders as often as the size needs: uint8 (height, width, 3).

    Args:
        number: of the picture; pictures differ in what they show or where it begins.
    """
    photographs = _read_photographs()
    photograph = photographs[number % len(photographs)]
    shift = 32 * (number // len(photographs))
    missing = [(0, max(0, shift + wanted - size)) for size, wanted in zip(photograph.shape, (height, width))]
    mirrored = np.pad(photograph, [*missing, (0, 0)], "symmetric")
    return np.ascontiguousarray(mirrored[shift : shift + height, shift : shift + width])


@lru_cache
def _read_photographs() -> tuple[np.ndarray, ...]:
    return tuple(read_rgb8(image.path) for image in resolve_dataset(PICTURES, fetch=False).images)


def identify_subject(subject: Subject, device: str) -> dict[str, Any]:
    """What identifies the measured code and weights, beside device, shape and direction; no model is built for it."""
    model = subject.variant.model
    factory = find_factory(model)
    own = isinstance(factory, type) and issubclass(factory, HyperpriorCodec)
    values: dict[str, Any] = {
        "variant": subject.name, "model": model, "options": subject.options,
        "configuration": CONFIGURATIONS.get(subject.configuration).label,
        "weights": f"synthetic, seed {SEED}" if subject.checkpoint is None else sha256_of(subject.checkpoint),
        "coder": rans.CODER.identity("cpu") if own else f"compressai {version('compressai')} rANS",
        "torch": version("torch"),
    }
    if is_import_path(model):
        values["source_sha256"] = source_sha256(model)
    if getattr(factory, "native_operators", ()):
        values["operators"] = operator_identity(device)
    return values
