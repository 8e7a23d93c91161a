"""Models by name: ``create_model("hpcm_base")``, or with other widths ``create_model("hpcm_base", M=40, N=16)``.

Only the module of the model that is built is imported: CompressAI's models bring much that no other model needs.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.common.errors import OF_USERS_CODE, ConfigurationError
from bench.common.import_paths import ZOO, is_import_path
from bench.common.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelEntry:
    """A model: its class or factory, and the options in which it differs from the class' defaults.

    Attributes:
        path: "module:attribute" of the class or function that builds the model.
        options: keyword arguments that make it the model of this name.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """What building it imports."""
        return self.path.partition(":")[0]

    def load(self) -> Callable[..., nn.Module]:
        """Import the class or function that builds the model."""
        return getattr(importlib.import_module(self.module), self.path.partition(":")[2])


# Of CompressAI's zoo, those whose decoder's symbols can be made exact: without a context model in torch's float32.
ZOO_EXACT = ("bmshj2018-factorized", "bmshj2018-factorized-relu", "bmshj2018-hyperprior", "mbt2018-mean")

MODELS: Registry[ModelEntry] = Registry("model", {
    "hpcm_base": ModelEntry("bench.models.hpcm:HPCM"),
    "hpcm_large": ModelEntry("bench.models.hpcm:HPCM", {
        "stages": ((96, 2), (192, 2), (384, 8)), "prior_s1_s2": (2, 2), "prior_s3": (4, 3),
    }),
    "hpcm_phi": ModelEntry("bench.models.hpcm:HPCM", {"head_width": None}),
    "hpcm_1b": ModelEntry("bench.models.hpcm:HPCM1B", {
        "M": 512, "stages": ((192, 3), (384, 9), (768, 3)), "hyper_blocks": (4, 9, 9, 4),
        "prior_s1_s2": (5, 3, 2), "prior_s3": (6, 4, 2), "adaptor_depths": (5, 5, 7), "head_width": None,
    }),
    "multiref_phase1": ModelEntry("bench.models.multiref:MultiRefPhase1"),
    "multiref_phase2": ModelEntry("bench.models.multiref:MultiRefPhase2"),
    "multiref_phase3": ModelEntry("bench.models.multiref:MultiRefPhase3"),
    "rwkv_phase1": ModelEntry("bench.models.rwkv:RWKV", {"cell_rates": (None, None, 4)}),
    "rwkv_phase2": ModelEntry("bench.models.rwkv:RWKV"),
    "rwkv_phase3": ModelEntry("bench.models.rwkv:RWKV", {"fusion_rate": 4}),
    "rwkv_phase4": ModelEntry("bench.models.rwkv:RWKV", {"fusion_rate": 4, "prior_rate": 4}),
    "weconv_phase1": ModelEntry("bench.models.weconv:WeConvPhase1"),
    "weconv_phase2": ModelEntry("bench.models.weconv:WeConvPhase2"),
    "weconv_phase3": ModelEntry("bench.models.weconv:WeConvPhase3"),
    "weconv_phase4": ModelEntry("bench.models.weconv_fusion:WeConvPhase4"),
    "weconv_phase5": ModelEntry("bench.models.weconv_fusion:WeConvPhase5"),
    "lalic": ModelEntry("bench.models.lalic:LALIC"),
})


def find_factory(name: str) -> Callable[..., nn.Module]:
    """Import what builds a model.

    Args:
        name: of a model of the suite, of CompressAI's zoo ("compressai:mbt2018-mean"), or of a user's own
            ("my_package.my_module:MyCodec").

    Returns:
        Class or function.

    Raises:
        ConfigurationError: there is no such model.
    """
    if is_import_path(name):
        from bench.models.own_models import import_factory

        return import_factory(name)

    if name.startswith(ZOO):
        from bench.models.zoo import zoo_model

        return partial(zoo_model, name.removeprefix(ZOO))

    return MODELS.get(name).load()


def explain_no_exact(name: str) -> str | None:
    """Say why a model has no exact configuration (:mod:`bench.models.exact`); nothing is imported for it.

    Args:
        name: see :func:`find_factory`.

    Returns:
        The reason; None where it has one, or only building it tells.
    """
    if not name.startswith(ZOO) or name.removeprefix(ZOO) in ZOO_EXACT:
        return None
    return f"{name} has no exact configuration: of CompressAI's models only {', '.join(ZOO_EXACT)} have one"


def list_imports(name: str) -> tuple[str, ...]:
    """List the modules that building a model imports, where its name says so; nothing is imported for it.

    Args:
        name: see :func:`find_factory`.
    """
    if is_import_path(name):
        return ("torch",)
    return ("bench.models.zoo",) if name.startswith(ZOO) else (MODELS.get(name).module,)


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a model with fresh weights.

    Args:
        name: see :func:`find_factory`.
        options: keyword arguments of its class or function, such as its widths.

    Returns:
        The model, without coding tables: load weights or call ``update`` before it codes.

    Raises:
        ConfigurationError: no such model, an option that it does not have, or an impossible value.
    """
    factory, own = find_factory(name), is_import_path(name)
    allowed = options_of(factory)
    if allowed is not None and (unknown := sorted(set(options) - set(allowed))):
        has = ", ".join(allowed) or "none"
        raise ConfigurationError(f"model '{name}' has no option {', '.join(unknown)}", f"it has: {has}")

    expected = OF_USERS_CODE if own else (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError)
    try:
        model = factory(**{**(MODELS.get(name).options if name in MODELS else {}), **options})
    except expected as error:
        raise ConfigurationError(f"model '{name}' can't be built with {options}: {error}") from None
    if own:
        from bench.models.own_models import check_interface

        check_interface(model, name)
    if own and not hasattr(model, "encode_image"):
        from bench.models.compressai_models import prepare

        prepare(model)
    return model


def create_skeleton(name: str, **options: Any) -> nn.Module:
    """Build a model without memory for its weights where that works, for names, shapes and counts.

    Args:
        name, options: see :func:`create_model`.

    Raises:
        ConfigurationError: see :func:`create_model`.
    """
    import torch

    with suppress(ConfigurationError), torch.device("meta"):
        return create_model(name, **options)

    from torch._subclasses.fake_tensor import FakeTensorMode  # slow to load; unlike the device, knows CompressAI's GDN

    with suppress(ConfigurationError), FakeTensorMode(allow_non_fake_inputs=True):
        return create_model(name, **options)
    return create_model(name, **options)  # a user's own model may look at its numbers when it is built


def options_of(factory: Callable[..., nn.Module]) -> list[str] | None:
    """List the options of a class, its bases' included where it hands ``**options`` on to them, or of a function.

    Args:
        factory: what builds a model.

    Returns:
        Names in the order of their signatures, or None for a function that takes any.
    """
    if not isinstance(factory, type):
        own = inspect.signature(factory).parameters.values()
        return None if any(p.kind == p.VAR_KEYWORD for p in own) else [p.name for p in own]

    names: dict[str, None] = {}
    for cls in factory.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        names.update({p.name: None for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)})
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return list(names)
