"""CompressAI's JSON of rate-distortion points: {name, description, results{bpp, psnr-rgb, ms-ssim-rgb, ...}}.

The files in ``data/`` have the same shape, with ``source``, ``meta`` and, where known, ``per_image`` added;
averages are then taken from ``per_image``. ``meta.averaging`` says how MS-SSIM became dB, metric by metric, where that
is not plain from the columns (:mod:`bench.curves.averaging`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import starmap
from pathlib import Path
from typing import Any

from bench.common.errors import BenchError
from bench.common.files import write_whole, writing
from bench.curves.anchors.columns import MOST_VALUES, Doubled, NamedColumn, make_columns, make_points
from bench.curves.averaging import AVERAGING, MEAN, find_averaging, settle_averaging
from bench.curves.rd_curve import Points, RDCurve, average_points
from bench.results.schema import require_plain

BPP_TOLERANCE = 1e-3  # both are rounded
MOST_REMARKS = 5
SHAPE = 'expected {"name": ..., "description": ..., "results": {"bpp": [...], "psnr-rgb": [...]}}'


def parse_json(text: str, where: str, name: str, dataset: str = "", metrics: Collection[str] = ()) -> RDCurve:
    """Parse the text of a file written by CompressAI or by :func:`write_json`.

    Args:
        where: what error messages call the file.
        name: short name of the curve.
        dataset: its dataset; else the file's own ``meta.dataset`` counts.
        metrics: names in METRICS that are asked for.

    Raises:
        BenchError: the text is no JSON, is not of this shape, or lacks an asked metric.
    """
    try:
        data = json.loads(text, object_pairs_hook=_mark_doubled)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{where} is no JSON: {error}", SHAPE) from None
    if not isinstance(data, dict) or not isinstance(data.get("results"), dict):
        raise BenchError(f"{where} is not a file of rate-distortion points", SHAPE)
    meta, left_out = _read_meta(data, where)
    stated, remarks = make_points(starmap(NamedColumn, data["results"].items()), where, metrics)
    per_image, more = _group_by_image(data.get("per_image") or [], where)
    return settle_averaging(RDCurve(
        dataset=dataset or _read_text(meta, "dataset"), name=name, label=_read_text(data, "name") or name,
        points=_average_images(stated, per_image, where), description=_read_text(data, "description"),
        source=_read_text(data, "source"), meta=meta, per_image=per_image,
        images=len(per_image) or _count_images(meta), remarks=(*remarks, *more, *left_out),
    ))


def _read_meta(data: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Return what else the file says, with a remark where that can't be kept: no rate point depends on it."""
    meta = data.get("meta") or {}
    if not isinstance(meta, dict):
        raise BenchError(f"{where}: 'meta' is not a mapping")
    try:
        require_plain(meta, "meta")
    except ValueError as error:
        return {}, [f"left out: {error}"]
    return meta, []


def _read_text(data: Mapping[str, Any], key: str) -> str:
    """Return a text that can be written: JSON may spell halves of characters."""
    return str(data.get(key) or "").encode(errors="replace").decode()


def _mark_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the mapping; a name that stands twice has a value that nothing takes for one."""
    data = dict(pairs)
    if len(data) == len(pairs):
        return data
    counts = Counter(key for key, _ in pairs)
    return {key: value if counts[key] == 1 else Doubled("stands twice") for key, value in pairs}


def _average_images(stated: Points, per_image: Mapping[str, Points], where: str) -> Points:
    """Return the means over single images where these are known, else what the file states."""
    if not per_image:
        return stated
    if {len(points.bpp) for points in per_image.values()} != {len(stated.bpp)}:
        raise BenchError(f"{where}: 'per_image' has not {len(stated.bpp)} rate points of every image, as 'results' has")
    means = average_points(list(per_image.values()))
    if any(abs(mean - rate) > BPP_TOLERANCE * rate for mean, rate in zip(means.bpp, stated.bpp)):
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
    averaging = {metric: way for metric in curve.points.curve_quality if (way := find_averaging(curve, metric)) != MEAN}
    meta = {**curve.meta, AVERAGING: averaging} if averaging else dict(curve.meta)
    data |= {key: value for key, value in (("source", curve.source), ("meta", meta)) if value}
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
        text = json.dumps(to_json(curve), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_whole(path, text.encode(errors="replace"))  # names of files may hold what is no text


def _count_images(meta: Mapping[str, Any]) -> int | None:
    images = meta.get("images")
    if isinstance(images, list):
        return len(images) or None
    return images if isinstance(images, int) and not isinstance(images, bool) and images > 0 else None


def _group_by_image(entries: Any, where: str) -> tuple[dict[str, Points], list[str]]:
    """Group ``per_image`` (one mapping for each image and rate point) by image, in the file's order; with remarks."""
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "image" in one for one in entries):
        raise BenchError(f"{where}: 'per_image' is not a list of mappings that name an image")
    if len(entries) > MOST_VALUES:
        raise BenchError(f"{where}: 'per_image' has {len(entries)} entries, more than {MOST_VALUES}")
    grouped: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        grouped.setdefault(str(entry["image"]), []).append(entry)

    points, remarks = {}, []
    for image, members in grouped.items():
        columns = [NamedColumn(key, [entry.get(key) for entry in members]) for key in members[0] if key != "image"]
        points[image], more = make_points(columns, f"{where}, {image}")
        remarks += [f"{image}: {remark}" for remark in more]
    if len(remarks) > MOST_REMARKS:
        remarks[MOST_REMARKS:] = [f"and {len(remarks) - MOST_REMARKS} more columns of images"]
    return points, remarks
