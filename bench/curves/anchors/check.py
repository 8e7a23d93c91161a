"""Rebuild the BD-rates that the HPCM paper states against VTM-22.0 from the stored curves."""

from __future__ import annotations

from dataclasses import dataclass

from bench.curves.anchors.catalogue import anchors, load
from bench.metrics import bd_rate

TOLERANCE_POINTS = 0.3
# "Learned Image Compression with Hierarchical Progressive Context Modeling", table 1, PSNR, percent
STATED = {
    ("kodak", "hpcm-base-mse"): -15.31, ("kodak", "hpcm-large-mse"): -19.19,
    ("clic2020", "hpcm-base-mse"): -14.23, ("clic2020", "hpcm-large-mse"): -18.37,
    ("tecnick", "hpcm-base-mse"): -18.16, ("tecnick", "hpcm-large-mse"): -22.20,
}


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


def check() -> list[AnchorCheck]:
    """Compare HPCM's published points with every anchor of their datasets (PCHIP, PSNR)."""
    rows = []
    for (dataset, codec), stated in STATED.items():
        test = load(dataset, codec)
        for anchor in anchors(dataset):
            result = bd_rate(anchor.load().curve("psnr"), test.curve("psnr"))
            rows.append(AnchorCheck(dataset, test.label, anchor.label, anchor.role, result.value,
                                    stated if anchor.role == "default" else None, result.reason))
    return rows
