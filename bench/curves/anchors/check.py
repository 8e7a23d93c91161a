"""Rebuild the BD-rates that authors state against VTM from the published curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.curves.anchors.catalogue import list_anchors, load_anchor, load_curve
from bench.metrics import bd_rate

TOLERANCE_POINTS = 0.3


@dataclass(frozen=True)
class AnchorCheck:
    """One codec against one anchor: what the stored curves give, and what the paper states.

    Attributes:
        computed_percent: None if the curves give no number; ``reason`` then says why.
        stated_percent: None for strict anchors, which the paper does not use.
    """

    dataset: str
    codec: str
    anchor: str
    role: str
    computed_percent: float | None
    stated_percent: float | None
    reason: str | None = None

    @property
    def difference_points(self) -> float | None:
        """Computed less stated, in percentage points."""
        if self.computed_percent is None or self.stated_percent is None:
            return None
        return self.computed_percent - self.stated_percent

    @property
    def agrees(self) -> bool | None:
        """Whether the difference is within the tolerance; None where nothing is stated."""
        if self.stated_percent is None:
            return None
        return self.difference_points is not None and abs(self.difference_points) <= TOLERANCE_POINTS


def check_anchors(stated_percent: Mapping[tuple[str, str], float]) -> list[AnchorCheck]:
    """Compare published points with every anchor of their datasets (PCHIP, PSNR).

    Args:
        stated_percent: (dataset, published curve) to the BD-rate that its authors state against VTM.
    """
    rows = []
    for (dataset, codec), stated in stated_percent.items():
        test = load_curve(dataset, codec)
        for anchor in list_anchors(dataset):
            result = bd_rate(load_anchor(dataset, anchor).curve("psnr"), test.curve("psnr"))
            rows.append(AnchorCheck(dataset, test.label, anchor.label, anchor.role, result.value,
                                    stated if anchor.role == "default" else None, result.reason))
    return rows
