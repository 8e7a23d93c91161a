"""Rate-distortion points in a CSV file: a line of column names, then one line for each rate point."""

from __future__ import annotations

import csv
from pathlib import Path

from bench.common.errors import BenchError
from bench.common.files import reading
from bench.curves.anchors.columns import list_spellings, make_points
from bench.curves.rd_curve import RDCurve


def read_csv(path: Path, dataset: str = "") -> RDCurve:
    """Read columns such as ``bpp,psnr_rgb_db,ms_ssim`` (MS-SSIM linear); other columns are passed over.

    Args:
        path: the file.
        dataset: that of the points.

    Returns:
        The curve, called like the file.

    Raises:
        BenchError: the file can't be read or is not of this shape.
    """
    with reading(path, csv.Error), path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    known = {spelling for names in list_spellings().values() for spelling in names}
    columns: dict[str, list[float]] = {}
    for position, name in enumerate(header):
        if name.strip().lower().replace("_", "-") in known:
            columns[name] = [_parse_cell(row, position, f"{path}, line {line}, '{name}'") for line, row in rows]
    points = make_points(columns, str(path))
    return RDCurve(dataset, path.stem, path.stem, points, source=path.name)


def _parse_cell(row: list[str], position: int, where: str) -> float:
    cell = row[position].strip() if position < len(row) else ""
    try:
        return float(cell)
    except ValueError:
        raise BenchError(f"{where}: '{cell}' is no number") from None
