"""How a model's name tells where the model comes from; nothing is imported for it."""

from __future__ import annotations

ZOO = "compressai:"  # before a name of CompressAI's zoo


def is_import_path(name: str) -> bool:
    """Whether ``name`` is "module:attribute", a model of the user's, and not one of CompressAI's zoo."""
    return ":" in name and not name.startswith(ZOO)
