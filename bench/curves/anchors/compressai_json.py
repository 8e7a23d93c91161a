"""CompressAI's JSON of rate-distortion points: {name, description, results{bpp, psnr-rgb, ms-ssim-rgb, ...}}.

The files in ``data/`` have the same shape, with ``source``, ``meta`` and, where known, ``per_image`` added;
averages are then taken from ``per_image``. ``ms-ssim-rgb-db`` (each image's dB, then the mean) is ours too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.common.errors import BenchError
from bench.common.files import reading, write_whole, writing
from bench.curves.anchors.columns import make_columns, make_points
from bench.curves.rd_curve import Points, RDCurve, average_points

BPP_TOLERANCE = 1e-3  # both are rounded
SHAPE = 'expected {"name": ..., "description": ..., "results": {"bpp": [...], "psnr-rgb": [...]}}'


def read_json(path: Path, dataset: str = "") -> RDCurve:
    """Read a file written by CompressAI or by :func:`write_json`.

    Args:
        path: the file.
        dataset: that of the points; else the file's own ``meta.dataset`` counts.

    Returns:
        The curve, called like the file.

    Raises:
        BenchError: the file can't be read, is no JSON or is not of this shape.
    """
    with reading(path):
        text = path.read_text(encoding="utf-8")
    return parse_json(text, str(path), path.stem, dataset)


def parse_json(text: str, where: str, name: str, dataset: str = "") -> RDCurve:
    """Parse the text of such a file.

    Args:
        where: what error messages call the file.
        name: short name of the curve.
        dataset: its dataset; else the file's own ``meta.dataset`` counts.

    Raises:
        BenchError: the text is no JSON or is not of this shape.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BenchError(f"{where} is no JSON: {error}", SHAPE) from None
    if not isinstance(data, dict) or not isinstance(data.get("results"), dict):
        raise BenchError(f"{where} is not a file of rate-distortion points", SHAPE)
    meta = data.get("meta", {})
    if not isinstance(meta, dict):
        raise BenchError(f"{where}: 'meta' is not a mapping")
    per_image = _group_by_image(data.get("per_image", []), where)
    return RDCurve(
        dataset=dataset or str(meta.get("dataset", "")), name=name, label=str(data.get("name") or name),
        points=_average_images(make_points(data["results"], where), per_image, where),
        description=str(data.get("description", "")),
        source=str(data.get("source", "")), meta=meta, per_image=per_image,
        images=len(per_image) or _count_images(meta),
    )


def _average_images(stated: Points, per_image: Mapping[str, Points], where: str) -> Points:
    """Return the means over single images where these are known, else what the file states."""
    if not per_image:
        return stated
    means = average_points(list(per_image.values()))
    if len(means.bpp) != len(stated.bpp) or any(
            abs(mean - rate) > BPP_TOLERANCE * rate for mean, rate in zip(means.bpp, stated.bpp)):
        raise BenchError(f"{where}: 'results' is not the average of 'per_image'")
    return Points(means.bpp, {**stated.quality, **means.quality}, {**stated.curve_quality, **means.curve_quality},
                  means.encode_s or stated.encode_s, means.decode_s or stated.decode_s)


def to_json(curve: RDCurve) -> dict[str, Any]:
    """Return the curve in CompressAI's shape; ``source`` and ``meta`` are added where there are any.

    Args:
        curve: averages; single images are left out.

    Returns:
        JSON data, whose ``results`` map columns to a value for each rate point.
    """
    data: dict[str, Any] = {"name": curve.label, "description": curve.description}
    data |= {key: value for key, value in (("source", curve.source), ("meta", dict(curve.meta))) if value}
    data["results"] = {key: list(column) for key, column in make_columns(curve.points).items()}
    return data


def write_json(curve: RDCurve, path: Path) -> None:
    """Write :func:`to_json`, making the folder.

    Args:
        curve: averages; single images are not written.
        path: the file, which is replaced.

    Raises:
        BenchError: the file can't be written.
    """
    with writing(path):
        write_whole(path, json.dumps(to_json(curve), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _count_images(meta: Mapping[str, Any]) -> int | None:
    images = meta.get("images")
    if isinstance(images, list):
        return len(images)
    return images if isinstance(images, int) and not isinstance(images, bool) else None


def _group_by_image(entries: Any, where: str) -> dict[str, Points]:
    """Group ``per_image`` (one mapping for each image and rate point) by image, in the file's order."""
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "image" in one for one in entries):
        raise BenchError(f"{where}: 'per_image' is not a list of mappings that name an image")
    grouped: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        grouped.setdefault(str(entry["image"]), []).append(entry)
    points = {}
    for image, members in grouped.items():
        columns = {key: [entry.get(key) for entry in members] for key in members[0] if key != "image"}
        points[image] = make_points(columns, f"{where}, {image}")
    return points
