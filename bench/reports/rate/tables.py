"""Tables of what was measured: summary, single images, failures, provenance. Pure functions of the rows."""

from __future__ import annotations

import json

import pandas as pd

from bench.common.text import format_count
from bench.metrics.quality import METRICS, headline_metrics, known_metrics
from bench.reports.page.table import Cell, Column, Table
from bench.reports.rate.frame import CONVENTION, SHORT_CONVENTION, Coverage
from bench.results.labels import MINIATURE_NOTE, label_codecs
from bench.results.row_selection import Selection
from bench.results.rows import OK, Row

CODEC = Column("codec", "Codec")
POINT = Column("point", "Point")
RATE_COLUMNS = (
    Column("bpp", "bpp", digits=4),
    Column("bpp_y", "y", "bpp", digits=4, detail=True),
    Column("bpp_z", "z", "bpp", digits=4, detail=True),
    Column("bpp_header", "header", "bpp", digits=4, detail=True),
    Column("bpp_estimated", "estimated", "bpp", digits=4, detail=True),
    Column("actual_over_estimated", "actual / est.", digits=4, detail=True),
)
TIME_COLUMNS = (
    Column("encode_s", "encode", "s", digits=3),
    Column("decode_s", "decode", "s", digits=3),
)


def _measure_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Rates, every quality metric of ``frame``, and times."""
    qualities = [Column(scale.column, scale.title, scale.unit, digits=scale.digits, missing="N/A",
                        detail=not metric.headline or scale != metric.on_curves)
                 for metric in known_metrics() for scale in metric.scales if scale.column in frame]
    return (*RATE_COLUMNS, *qualities, *TIME_COLUMNS)


def summary(frame: pd.DataFrame, coverage: Coverage) -> Table:
    """One line for each rate point: means over the images that were measured, and what went wrong."""
    measures = _measure_columns(frame)
    columns = (CODEC, POINT, Column("images_ok", "ok", digits=0), Column("images", "images", digits=0),
               *measures, Column("mismatches", "decode mismatches", digits=0),
               Column("failures", "failed", digits=0), Column("warnings", "warnings", digits=0, detail=True))
    rows: list[tuple[Cell, ...]] = []
    for (label, point), group in frame.groupby(["label", "point"], sort=False):  # labels are unique
        measured = group[group["status"] == OK]
        rows.append((label, point, len(measured), len(group), *(_mean(measured[column.key]) for column in measures),
                     int((group["decode_matches"] == False).sum()),  # noqa: E712 (None is no mismatch)
                     len(group) - len(measured), int(group["warnings"].map(len).sum())))
    notes = [CONVENTION, "Means go over the images counted under \"ok\". encode and decode are wall-clock "
             "seconds an image, not a latency benchmark."]
    for metric in headline_metrics():
        if metric.scale.column not in frame:
            continue
        without = frame.loc[(frame["status"] == OK) & frame[metric.scale.column].isna(), "image"].nunique()
        if without:
            notes.append(f"The means of {metric.label} leave out {format_count(without, 'image')} that it is not "
                         "defined for (reasons in the table of single images).")
    return _table("summary", "Rate points", columns, rows, coverage, tuple(notes))


def _mean(values: pd.Series) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)


def per_image(frame: pd.DataFrame, coverage: Coverage) -> Table:
    """Every chosen row."""
    measures = _measure_columns(frame)
    columns = (CODEC, POINT, Column("image", "Image"), Column("width", "width", digits=0),
               Column("height", "height", digits=0), Column("bytes_total", "bytes", digits=0),
               *measures, Column("decode_matches", "decode matches"),
               Column("remark", "Remark", wide=True))
    keys = ["label", "point", "image", "width", "height", "bytes_total", *(column.key for column in measures)]
    rows: list[tuple[Cell, ...]] = []
    for record in frame.to_dict("records"):
        rows.append((*(_plain(record[key]) for key in keys), record["decode_matches"], _remark(record)))
    table = _table("per_image", "Single images", columns, rows, coverage, (CONVENTION,))
    return table.without_empty_columns()


def _plain(value: Cell) -> Cell:
    return None if isinstance(value, float) and pd.isna(value) else value


def _remark(record: dict) -> str | None:
    parts = [f"failed: {record['reason']}"] if record["status"] != OK else []
    parts += record["warnings"]
    if record["image_verified"] is False:
        parts.append("not the catalogue's image")
    if record["decode_matches"] is False and record["decode_max_abs_difference"] is not None:
        parts.append(f"decoded image differs by up to {record['decode_max_abs_difference']:.0f}")
    for name, reason in (record["quality_missing"] or {}).items():
        if not any(reason in text for text in record["warnings"]):
            parts.append(f"no {METRICS.get(name).label if name in METRICS else name}: {reason}")
    return "; ".join(parts) or None


def failures(frame: pd.DataFrame, coverage: Coverage) -> Table:
    """Every row that failed, with its reason."""
    columns = (CODEC, POINT, Column("image", "Image"), Column("reason", "Reason", wide=True))
    failed = frame[frame["status"] != OK]
    rows = list(failed[["label", "point", "image", "reason"]].itertuples(index=False, name=None))
    return _table("failures", "Failures", columns, rows, coverage, ())


def provenance(selection: Selection, coverage: Coverage) -> Table:
    """What every rate point was measured with, one line for each combination within a codec."""
    columns = (CODEC, Column("points", "Points"), Column("codec_version", "Version", wide=True),
               Column("settings", "Settings", wide=True), Column("colour", "Colour path"),
               Column("weights_sha256", "Weights SHA-256"), Column("device", "Device"),
               Column("code_version", "Code"))
    labels = label_codecs(selection.rows)
    points: dict[tuple[Cell, ...], list[str]] = {}
    for choice in selection.choices:
        points.setdefault((labels[choice.name], *_origin(choice.rows[0])), []).append(choice.point)
    rows = [(origin[0], ", ".join(names), *origin[1:]) for origin, names in points.items()]
    table = _table("provenance", "Provenance", columns, rows, coverage, selection.notes)
    return table.without_empty_columns()


def _origin(row: Row) -> tuple[Cell, ...]:
    weights = row.identity.get("weights_sha256")
    return (_version(row), _text(row.settings), row.colour, str(weights)[:16] if weights else None,
            row.provenance.device or None, row.code_version or None)


def _version(row: Row) -> str | None:
    """The library's of a classical codec; torch's and the coder's of a learned one."""
    if "coder" not in row.identity:
        return _text(row.identity.get("codec_version"))
    torch = row.provenance.libraries.get("torch")
    coder = str(row.identity["coder"])
    return f"torch {torch}, {coder}" if torch else coder


def _text(value: object) -> str | None:
    """Return a JSON value in as few characters as a reader needs."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in sorted(value.items())) or None
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _table(name: str, subject: str, columns: tuple[Column, ...], rows: list[tuple[Cell, ...]],
           coverage: Coverage, notes: tuple[str, ...]) -> Table:
    """Add what all tables of a report have in common."""
    if coverage.miniatures:
        notes = (*notes, MINIATURE_NOTE)
    constants = (("dataset", coverage.dataset), ("coverage", coverage.text), ("convention", SHORT_CONVENTION))
    return Table(name, f"{subject}: {coverage.heading}", columns, tuple(rows), notes, coverage.warnings,
                 constants=constants)
