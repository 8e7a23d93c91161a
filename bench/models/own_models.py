"""A user's own model by import path: ``create("my_package.my_module:MyCodec")``."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import typing
from collections.abc import Callable
from pathlib import Path

from torch import nn

from bench.common.errors import OF_USERS_CODE, ConfigurationError
from bench.common.hashing import sha256_of

OURS = ("encode_image", "decode_image", "padding_multiple")
COMPRESSAIS = ("compress", "decompress", "update")
EXPECTED = (f"a model is a torch.nn.Module with {', '.join(OURS)} (bench/models/image_codec.py),"
            f" or with CompressAI's forward, {', '.join(COMPRESSAIS)}")
ANNOTATED = "annotate it with the class that it returns: def build(...) -> MyCodec"


def import_factory(name: str) -> Callable[..., nn.Module]:
    """Import what builds a user's own model; that it gives a model's interface is checked before it is ever called.

    The decoder's process imports it too: the module must be installed, on ``PYTHONPATH``, or in the current folder.

    Args:
        name: "module:attribute".

    Returns:
        Class or factory function.

    Raises:
        ConfigurationError: there is no such module or attribute, the module raises, it is of Python's standard
            library, or it is something else.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigurationError(f"'{name}' is no import path", "write it as my_package.my_module:MyCodec")
    _refuse_standard(module_name, name)

    try:
        module = importlib.import_module(module_name)
    except OF_USERS_CODE as error:
        raise ConfigurationError(f"can't import '{module_name}' of model '{name}': {type(error).__name__}: {error}",
                                 "install it, put its folder on PYTHONPATH, or run in its folder") from None

    if not hasattr(module, attribute):
        models = [key for key, value in vars(module).items() if _is_model(value)]
        raise ConfigurationError(f"module '{module_name}' has no '{attribute}'",
                                 f"its models: {', '.join(models) or 'none'}")
    factory = getattr(module, attribute)
    if not (_is_model(factory) or inspect.isfunction(factory)):
        raise ConfigurationError(f"'{name}' is neither a model's class nor a function that builds one", EXPECTED)
    _refuse_standard(factory.__module__ or "", name)  # a module of the user's may have imported it
    made = factory if isinstance(factory, type) else _find_returned(factory)
    if made is None:
        raise ConfigurationError(f"function '{name}' does not say which model it returns", ANNOTATED)
    _refuse_lacking(made, name)
    return factory


def _refuse_standard(module_name: str, name: str) -> None:
    """Refuse what is Python's own: none of it is a model, and much of it runs commands."""
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigurationError(f"model '{name}' is of Python's standard library, which has no models", EXPECTED)


def _find_returned(function: Callable[..., object]) -> type[nn.Module] | None:
    """Return the class of module that a function's annotation says it returns; None where it says none, or any."""
    try:
        returned = typing.get_type_hints(function).get("return")
    except Exception:  # whatever an annotation raises when it is evaluated
        return None
    return returned if _is_model(returned) and returned is not nn.Module else None


def _is_model(value: object) -> typing.TypeGuard[type[nn.Module]]:
    """Whether a value is the class of a module."""
    return isinstance(value, type) and issubclass(value, nn.Module)


def check_interface(model: object, name: str) -> None:
    """Check that a built model can be measured.

    Args:
        model: what was built.
        name: how messages call it.

    Raises:
        ConfigurationError: it is no module, or has neither interface; the message lists what it lacks.
    """
    if not isinstance(model, nn.Module):
        raise ConfigurationError(f"'{name}' gives no model, but {model!r}", EXPECTED)
    _refuse_lacking(model, name)


def _refuse_lacking(model: nn.Module | type[nn.Module], name: str) -> None:
    """Refuse a model, or a class of models, that has neither interface; a class need not know its padding yet."""
    cls = model if isinstance(model, type) else type(model)
    wanted = OURS if hasattr(model, "encode_image") else COMPRESSAIS
    lacking = [method for method in wanted if not hasattr(model, method)]
    if model is cls and "padding_multiple" in lacking:
        lacking.remove("padding_multiple")
    if wanted is COMPRESSAIS and cls.forward is nn.Module.forward:  # torch's own, which only raises
        lacking.insert(0, "forward")
    if lacking:
        raise ConfigurationError(f"model '{name}' lacks {', '.join(lacking)}", EXPECTED)


def source_sha256(name: str) -> str:
    """Hash a model's source: all Python files of its top-level package, or its module's file.

    What these import from elsewhere is not in it.

    Args:
        name: "module:attribute".

    Returns:
        SHA-256, 64 hexadecimal digits.

    Raises:
        ConfigurationError: the module can't be imported.
    """
    import_factory(name)
    own_name = name.partition(":")[0]
    # A folder without __init__.py has no file: then the module's own counts.
    places = [getattr(sys.modules[part], "__file__", None) for part in (own_name.partition(".")[0], own_name)]
    if not any(places):
        raise ConfigurationError(f"module '{own_name}' has no source file", EXPECTED)

    file = Path(next(filter(None, places)))
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    lines = [f"{path.relative_to(file.parent).as_posix()} {sha256_of(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
