"""What a quality metric is, and the one registry of them.

A metric is one entry here; rows, tables, plots, BD-rates, claims and files of curves are made from the registry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry


class NoValue(Exception):
    """A metric has no value for a pair of images; the message says why."""


@dataclass(frozen=True)
class QualityScale:
    """Numbers of one kind, and how they are written.

    Attributes:
        column: name in CSV files, with the unit in it ("psnr_rgb_db").
        title: heading for readers.
        unit: shown after the title; empty for a pure number.
        axis: what a plot's axis calls it, where that is not the title.
        digits: decimals for readers.
        low: no value is below it.
        high: no value is above it.
        spellings: how other people's files call it, the most specific first, in lower case with "-" for "_"; the
            first is what this suite writes into files of curves.
    """

    column: str
    title: str
    unit: str = ""
    digits: int = 4
    axis: str = ""
    low: float = -math.inf
    high: float = math.inf
    spellings: tuple[str, ...] = ()

    @property
    def axis_label(self) -> str:
        """Label of a plot's axis, with the unit."""
        name = self.axis or self.title
        return f"{name} [{self.unit}]" if self.unit else name


@dataclass(frozen=True)
class QualityMetric:
    """A measure of how near a decoded 8-bit RGB image is to its original.

    Attributes:
        name: on the command line, in rows and in claims ("psnr").
        label: how tables and plots call it ("PSNR").
        scale: of the value of one image.
        compute: value of (original, decoded), two uint8 arrays (H, W, 3) of one size. Raises :class:`NoValue`.
        citation: what defines it.
        version: raised when the code changes values.
        higher_is_better: a higher value is nearer to the original.
        curve_scale: of the quality along a curve, which rises with quality; None where it is ``scale`` (or, for a
            metric that falls, the negated value).
        to_curve: value of one image to its quality along a curve; None is the value itself, or negated if it falls.
        curve_note: what a report's convention says of the quality along a curve.
        headline: has plots and columns of BD-rate of its own; others are computed, stored and can be asked for.
        requires: modules that must be installed.
        extra: the suite's extra that brings them.
    """

    name: str
    label: str
    scale: QualityScale
    compute: Callable[[np.ndarray, np.ndarray], float]
    citation: str
    version: str = "1"
    higher_is_better: bool = True
    curve_scale: QualityScale | None = None
    to_curve: Callable[[float], float] | None = None
    curve_note: str = ""
    headline: bool = False
    requires: tuple[str, ...] = ()
    extra: str = ""

    @property
    def on_curves(self) -> QualityScale:
        """Scale of the quality along a curve."""
        if self.curve_scale is not None:
            return self.curve_scale
        if self.higher_is_better:
            return self.scale

        negated = tuple(f"negated-{spelling}" for spelling in self.scale.spellings)
        return QualityScale(f"{self.scale.column}_negated", f"−{self.scale.title}", self.scale.unit, self.scale.digits,
                            low=-self.scale.high, high=-self.scale.low, spellings=negated)

    @property
    def has_own_curve_scale(self) -> bool:
        """Whether the quality along a curve is another number than the value of an image."""
        return self.curve_scale is not None or not self.higher_is_better

    @property
    def scales(self) -> tuple[QualityScale, ...]:
        """Scale of the value of an image, then that along a curve where it is another."""
        return (self.scale, self.on_curves) if self.has_own_curve_scale else (self.scale,)

    @property
    def slug(self) -> str:
        """The name as a part of columns' and files' names: "ms_ssim"."""
        return self.name.replace("-", "_")

    @property
    def convention(self) -> str:
        """How a curve's quality is averaged, for captions."""
        mean = f"mean of per-image {self.on_curves.unit}" if self.to_curve is not None else "mean over images"
        return f"{self.label} of decoded 8-bit RGB, {mean}"

    def curve_value(self, value: float) -> float | None:
        """Return the quality along a curve for the value of one image; None where that is not finite.

        Args:
            value: in the unit of ``scale``.

        Returns:
            In the unit of :attr:`on_curves`.

        >>> from bench.metrics.quality import METRICS
        >>> METRICS.get("ms-ssim").curve_value(0.9)
        10.0
        >>> METRICS.get("ms-ssim").curve_value(1.0) is None
        True
        """
        if self.to_curve is not None:
            result = self.to_curve(value)
        else:
            result = value if self.higher_is_better else -value
        return result if math.isfinite(result) else None

    def missing_requirement(self) -> str | None:
        """Return what must be installed before it can be computed, with what to do, or None."""
        missing = [module for module in self.requires if find_spec(module) is None]
        if not missing:
            return None
        install = f"'bench[{self.extra}]'" if self.extra else " ".join(missing)
        return f"{self.label} needs {', '.join(missing)}: pip install {install}"


METRICS: Registry[QualityMetric] = Registry(
    "metric", list_spellings=lambda metric: [name for scale in metric.scales for name in scale.spellings])


def add_metric(metric: QualityMetric) -> QualityMetric:
    """Register a metric under its name.

    Args:
        metric: with columns of its own.

    Returns:
        The same.

    Raises:
        ConfigurationError: the name or a column is taken.
    """
    columns = {scale.column: other.name for other in known_metrics() for scale in other.scales}
    for scale in metric.scales:
        if scale.column in columns:
            raise ConfigurationError(f"metric '{metric.name}': column '{scale.column}' is that of"
                                     f" '{columns[scale.column]}'")
    return METRICS.add(metric.name, metric)


def known_metrics() -> tuple[QualityMetric, ...]:
    """Return every registered metric, in order of registration."""
    return tuple(METRICS.get(name) for name in METRICS)


def headline_metrics() -> tuple[QualityMetric, ...]:
    """Return the metrics that have plots and columns of BD-rate, the first being the one that decides order."""
    return tuple(metric for metric in known_metrics() if metric.headline)


def available_metrics() -> tuple[str, ...]:
    """Return the names of the metrics that can be computed here."""
    return tuple(metric.name for metric in known_metrics() if metric.missing_requirement() is None)


def choose_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Return metrics in order of registration.

    Args:
        names: in any order, at least one.

    Returns:
        The same names.

    Raises:
        ConfigurationError: none is named, or one is unknown or can't be computed here.
    """
    wanted = {name: METRICS.get(name).missing_requirement() for name in names}
    if not wanted:
        raise ConfigurationError("no quality metric is named", f"known: {', '.join(METRICS)}")
    for name, reason in wanted.items():
        if reason is not None:
            raise ConfigurationError(f"metric '{name}' can't be computed here", reason)
    return tuple(name for name in METRICS if name in wanted)
