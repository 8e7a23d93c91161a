"""Stored rows with values that are easy to average in the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.common.hashing import digest_json
from bench.metrics.quality import METRICS
from bench.results.rows import FAILED, OK, Row

RATES = {"q1": 0.2, "q2": 0.4, "q3": 0.8, "q4": 1.6, "q5": 3.2}


def row(image: str, point: str, bpp: float, psnr: float | None, name: str = "jpeg", **values) -> Row:
    series = digest_json({"name": name, "point": point})
    return Row(key=digest_json({"series": series, "image": image}), series=series, status=OK, dataset="kodak",
               image=image, codec="jpeg", name=name, label=name.upper(), point=point,
               bpp=bpp, measured_at="2026-01-01T00:00:00Z",
               **{"image_sha256": image, **quality_of(psnr=psnr, ms_ssim=1 - 1 / psnr if psnr else None), **values})


def quality_of(**values: float | None) -> dict[str, Any]:
    """Fields of a row for metrics ("ms_ssim" for "ms-ssim") and their values; None is a metric without a value."""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return {
        "quality": {name: value for name, value in named.items() if value is not None},
        "quality_missing": {name: "N/A: none" for name, value in named.items() if value is None},
        "quality_versions": {name: METRICS.get(name).version for name in named},
    }


def with_quality(row: Row, **values: float | None) -> Row:
    """``row`` with other values of some metrics; None takes a value away."""
    new = quality_of(**values)
    kept = {name: value for name, value in row.quality.items() if name not in new["quality_versions"]}
    return replace(row, quality=kept | new["quality"], quality_missing=new["quality_missing"],
                   quality_versions=row.quality_versions | new["quality_versions"])


def failed(row: Row, reason: str) -> Row:
    """``row`` as it is where nothing could be measured."""
    return replace(row, status=FAILED, reason=reason, bpp=None, bytes_total=None, encode_s=None, decode_s=None,
                   decode_matches=None, quality={}, quality_missing={}, quality_versions={})


def rows_of(images: int = 3, points: int = 5, **values) -> list[Row]:
    """Image i has i + 1 times the rate of image 0 and i dB more."""
    return [row(f"{index}.png", point, rate * (index + 1), 30 + 3 * step + index, **values)
            for step, (point, rate) in enumerate(list(RATES.items())[:points]) for index in range(images)]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(one.to_json() + "\n" for one in rows))
    return path
