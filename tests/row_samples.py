"""Stored rows with values that are easy to average in the head."""

from __future__ import annotations

import math
from pathlib import Path

from bench.results.rows import OK, Row, digest

RATES = {"q1": 0.2, "q2": 0.4, "q3": 0.8, "q4": 1.6, "q5": 3.2}


def row(image: str, point: str, bpp: float, psnr: float | None, name: str = "jpeg", **values) -> Row:
    series = digest({"name": name, "point": point})
    return Row(key=digest({"series": series, "image": image}), series=series, status=OK, dataset="kodak",
               image=image, image_sha256=image, codec="jpeg", name=name, label=name.upper(), point=point,
               bpp=bpp, psnr_rgb_db=psnr, ms_ssim=1 - 1 / psnr if psnr else None,
               ms_ssim_db=10 * math.log10(psnr) if psnr else None,
               measured_at="2026-01-01T00:00:00Z", **values)


def rows_of(images: int = 3, points: int = 5, **values) -> list[Row]:
    """Image i has i + 1 times the rate of image 0 and i dB more."""
    return [row(f"{index}.png", point, rate * (index + 1), 30 + 3 * step + index, **values)
            for step, (point, rate) in enumerate(list(RATES.items())[:points]) for index in range(images)]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(one.to_json() + "\n" for one in rows))
    return path
