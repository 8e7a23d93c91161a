"""How a model's name tells where the model comes from, and how a part of a package is imported alone."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

ZOO = "compressai:"  # before a name of CompressAI's zoo


def is_import_path(name: str) -> bool:
    """Whether ``name`` is "module:attribute", a model of the user's, and not one of CompressAI's zoo."""
    return ":" in name and not name.startswith(ZOO)


def import_alone(name: str) -> ModuleType:
    """Import a direct submodule of a package without running the package's own ``__init__``.

    ``import compressai.ops`` would first run ``compressai/__init__.py``, which brings data sets of point clouds, and
    with them torch_geometric, pandas and torch's compiler: more than torch itself takes. The module is the one that a
    later import of the whole package finds.

    Args:
        name: "package.module".

    Raises:
        ModuleNotFoundError: there is no such package or module.
    """
    package = name.rpartition(".")[0]
    if name in sys.modules or package in sys.modules:
        return importlib.import_module(name)

    whole = find_spec(package)
    places = None if whole is None else whole.submodule_search_locations
    spec = None if places is None else PathFinder.find_spec(name, places)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def find_imported(module: str, *names: str) -> tuple[Any, ...]:
    """Return what a module that is imported already has under ``names``; nothing where it is not.

    Where a package is not imported, nothing can be an instance of its classes.
    """
    found = sys.modules.get(module)
    return () if found is None else tuple(getattr(found, name) for name in names)
