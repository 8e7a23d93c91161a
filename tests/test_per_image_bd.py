"""The mean of single images' deltas, and what is left out of it."""

from __future__ import annotations

import pytest

from bench.metrics import Curve, bd_quality, per_image_bd

QUALITY = [30, 33, 36, 39]
RATE = [0.1, 0.2, 0.4, 0.8]
ANCHOR = {image: Curve(RATE, QUALITY) for image in ("a", "b", "c")}


def scaled(factor: float) -> Curve:
    return Curve([factor * rate for rate in RATE], QUALITY)


def test_mean_of_known_factors():
    result = per_image_bd(ANCHOR, {"a": scaled(0.9), "b": scaled(0.7), "c": scaled(1.1)})
    assert result.values == pytest.approx({"a": -10, "b": -30, "c": 10})
    assert result.mean == pytest.approx(-10)
    assert result.statement == "mean over 3 images" and not result.left_out


def test_images_without_a_value_are_named():
    far = Curve(RATE, [60, 63, 66, 69])
    result = per_image_bd(ANCHOR, {"a": scaled(0.5), "b": far, "d": scaled(0.5)})
    assert result.mean == pytest.approx(-50)
    assert result.statement == "mean over 1 of 4 images"
    assert "no range of quality" in result.left_out["b"]
    assert result.left_out["c"] == "not measured with the test"
    assert result.left_out["d"] == "not measured with the anchor"


def test_no_common_image():
    result = per_image_bd(ANCHOR, {"z": scaled(0.5)})
    assert result.mean is None and result.statement == "no value for any of 4 images"


def test_quality_and_small_overlaps():
    better = Curve(RATE, [quality + 3 for quality in QUALITY])  # 6 of 12 dB in common: half
    result = per_image_bd({"a": ANCHOR["a"]}, {"a": better})
    assert result.mean == pytest.approx(-50) and "1 of 1 images" in result.warnings[0]
    assert per_image_bd({"a": ANCHOR["a"]}, {"a": better}, bd_quality).mean == pytest.approx(3)
