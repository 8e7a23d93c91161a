"""Codecs and metrics from elsewhere: the modules that ``BENCH_PLUGINS`` names register theirs when imported."""

from __future__ import annotations

import importlib
import os

from bench.common.errors import OF_USERS_CODE, ConfigurationError

VARIABLE = "BENCH_PLUGINS"


def load_plugins() -> None:
    """Import every module of the comma-separated list in ``BENCH_PLUGINS``.

    A module calls ``CODECS.add(name, CodecEntry(...))`` of ``bench.codecs.base``, or ``add_metric(QualityMetric(...))``
    of ``bench.metrics.quality``. Encoders' and decoders' processes import it too, so it has to be importable there:
    installed, or on ``PYTHONPATH``.

    Raises:
        ConfigurationError: a module can't be imported.
    """
    for name in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        try:
            importlib.import_module(name)
        except OF_USERS_CODE as error:
            raise ConfigurationError(f"{VARIABLE} names '{name}', which can't be imported: "
                                     f"{type(error).__name__}: {error}",
                                     "install it, or put its folder on PYTHONPATH") from None
