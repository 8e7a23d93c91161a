"""Rows that were measured again, to see whether they come out alike: what is stored of it, and what is alike.

Classical codecs compute with whole numbers, so that one version of a library gives the same bytes everywhere. Learned
ones add in floating point: another processor, GPU or version of torch adds in another order, a latent at the edge
between two integers is then rounded to the other one, and what is coded after it follows. With kernels for AVX2 in
place of AVX-512, 34 of 44 pictures of the miniatures had other pixels, none another size, and PSNR and MS-SSIM moved by
0.0003 dB at most. The bounds below leave room for larger models and for GPUs; what is beyond has another reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from bench.common.files import file_name, match_files
from bench.metrics.quality import METRICS
from bench.results.machines import name_machine
from bench.results.rows import OK, Provenance, Row
from bench.results.schema import Name, Number, StoredRow
from bench.results.store import append_row, read_rows

FOLDER = "reproduction"  # of stored results: a folder for each dataset
MOST_BITS_PERCENT = 1.0
FEW_BYTES = 8  # of small files, where a single latent is more than that share
MOST_DB = 0.05
METRIC_NOISE_DB = 0.01  # of a metric that adds in floating point, on the same pixels

SAME: Literal["same"] = "same"
NOISE: Literal["noise"] = "noise"
DIFFERS: Literal["differs"] = "differs"
FAILED: Literal["failed"] = "failed"


class Reproduction(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                   tag_field="schema", tag=StoredRow.SCHEMA):
    """One stored row beside what measuring it again gave.

    Differences are of what was measured again to what is stored.
    """

    key: Name  # of the stored row
    dataset: Name
    image: Name
    name: Name
    label: Name
    point: Name
    miniature: bool = False
    outcome: Literal["same", "noise", "differs", "failed"]
    reason: str = ""  # why it failed
    row_machine: str = ""  # that made the stored row
    row_measured_at: str = ""
    versions: str = ""  # of the codec, stored and here, where they are not the same: it may then differ
    same_bytes: bool | None = None  # None where the stored row has no digest of its file
    same_pixels: bool | None = None
    bits_percent: Number | None = None
    quality_db: dict[Name, Number] = {}  # metric to the difference along curves, of metrics in dB
    provenance: Provenance = Provenance()
    code_version: str = ""
    measured_at: str = ""  # ISO 8601, UTC

    @property
    def is_wrong(self) -> bool:
        """Whether it is more than noise, or than another version of the codec explains."""
        return self.outcome == FAILED or (self.outcome == DIFFERS and not self.versions)

    @property
    def what(self) -> str:
        """"jpeg q5 kodim01.png"."""
        return f"{self.name} {self.point} {self.image}"


def compare_rows(stored: Row, again: Row, *, exact: bool, versions: str = "") -> Reproduction:
    """Compare a stored row with what measuring it again gave.

    Args:
        exact: the codec computes with whole numbers, so that all has to be the same.
        versions: of the codec, stored and here, where they are not the same.
    """
    failed = Reproduction(
        key=stored.key, dataset=stored.dataset, image=stored.image, name=stored.name, label=stored.label,
        point=stored.point, miniature=stored.miniature, outcome=FAILED, reason=_find_fault(again), versions=versions,
        row_machine=name_machine(stored.provenance), row_measured_at=stored.measured_at,
        provenance=again.provenance, code_version=again.code_version, measured_at=again.measured_at,
    )
    if failed.reason or stored.bpp is None or again.bpp is None:
        return failed

    same_bytes = _is_same(stored.stream_sha256, again.stream_sha256)
    same_pixels = _is_same(stored.reconstruction_sha256, again.reconstruction_sha256)
    bits_percent = 100 * (again.bpp / stored.bpp - 1)
    quality_db = _subtract_qualities(stored, again)

    largest_db = max(map(abs, quality_db.values()), default=0.0)
    is_same = False not in (same_bytes, same_pixels) and bits_percent == 0 and largest_db <= METRIC_NOISE_DB
    moved_bytes = abs(again.bpp / stored.bpp - 1) * (stored.bytes_total or float("inf"))
    is_few_bits = abs(bits_percent) <= MOST_BITS_PERCENT or round(moved_bytes, 3) <= FEW_BYTES
    is_noise = is_few_bits and largest_db <= MOST_DB
    outcome: Literal["same", "noise", "differs"] = DIFFERS
    if is_same:
        outcome = SAME
    elif is_noise and not exact:
        outcome = NOISE
    return replace(failed, outcome=outcome, same_bytes=same_bytes, same_pixels=same_pixels, bits_percent=bits_percent,
                   quality_db=quality_db)


def _find_fault(again: Row) -> str:
    if again.status != OK:
        return again.reason or "no reason is known"
    if again.decode_matches is False:
        return f"the decoder's image differs from the encoder's own by up to {again.decode_max_abs_difference}"
    return ""


def _is_same(stored: str | None, again: str | None) -> bool | None:
    return None if stored is None or again is None else stored == again


def _subtract_qualities(stored: Row, again: Row) -> dict[str, float]:
    """Differences in dB, of metrics that both rows have from the same version of their code."""
    found = {}
    versions, versions_here = stored.quality_versions, again.quality_versions
    for name in METRICS:
        if METRICS.get(name).on_curves.unit != "dB" or versions.get(name) != versions_here.get(name):
            continue
        before, after = stored.curve_quality(name), again.curve_quality(name)
        if before is not None and after is not None:
            found[name] = after - before
    return found


def store_reproduction(root: Path, reproduction: Reproduction) -> None:
    """Store one below the folder of results ``root``.

    Raises:
        BenchError: the file can't be written.
    """
    folder = root / FOLDER / file_name(reproduction.dataset)
    append_row(folder / f"{file_name(reproduction.name)}.jsonl", reproduction)


def read_reproductions(root: Path, dataset: str, rows: Iterable[Row]) -> list[Reproduction]:
    """Return what measuring rows of ``dataset`` again gave, the last of each row and machine.

    Args:
        rows: those that count; what is of others, or of earlier measurements of them, is passed over.

    Raises:
        BenchError: a file is damaged.
    """
    counting = {row.key: row for row in rows}
    found: dict[tuple[str, ...], Reproduction] = {}
    for path in match_files(root / FOLDER / file_name(dataset), "*.jsonl"):
        for one in read_rows(path, Reproduction):
            if _is_current(one, counting):
                found[one.key, one.row_machine, name_machine(one.provenance)] = one
    return list(found.values())


def _is_current(reproduction: Reproduction, counting: Mapping[str, Row]) -> bool:
    row = counting.get(reproduction.key)
    if row is None:
        return False
    is_of_row = reproduction.row_machine == name_machine(row.provenance)
    return not is_of_row or reproduction.row_measured_at == row.measured_at
