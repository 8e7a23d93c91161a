"""Codecs as they are asked for: exact, or writing an older format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.codecs.base import CodecSpec
from bench.codecs.learned import LEARNED
from bench.codecs.learned_codec import FORMATS, VERSION
from bench.common.errors import ConfigurationError
from bench.runners.evaluate.selection import Chosen, choose_codecs


def choose_coded(codecs: Sequence[str], points: Sequence[str], *, exact: bool, version: int | None) -> Chosen:
    """Return the specifications that :func:`choose_codecs` does, as they are asked for.

    Args:
        exact: of learned codecs, their exact configuration.
        version: of learned codecs' files; None, or the current one, leaves it.

    Raises:
        ConfigurationError: an unknown name or version, or a codec that has neither.
    """
    if version is not None and version not in FORMATS:
        raise ConfigurationError(f"there is no version {version} of learned codecs' files",
                                 f"known: {', '.join(map(str, sorted(FORMATS)))}")
    if exact and version not in (None, VERSION):
        raise ConfigurationError(f"exact files are of version {VERSION} alone", "leave --exact or --format out")
    chosen = choose_codecs(codecs, points, exact=exact)
    if not exact and version in (None, VERSION):
        return chosen
    return replace(chosen, specs=tuple(_adapt(spec, version) for spec in chosen.specs))


def _adapt(spec: CodecSpec, version: int | None) -> CodecSpec:
    if spec.codec != LEARNED:
        raise ConfigurationError(f"'{spec.name}' is no learned codec, and has neither formats nor an exact form",
                                 "leave it out of --codecs")
    return spec if version in (None, VERSION) else replace(spec, settings={**spec.settings, "format": version})


def find_format(spec: CodecSpec) -> int | None:
    """Return the version of the files that ``spec`` writes; None for codecs without."""
    return int(spec.settings.get("format", VERSION)) if spec.codec == LEARNED else None
