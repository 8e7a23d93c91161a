"""Files that were decoded under other settings, or on another machine, than they were encoded under.

A row of images says that a second process decoded a file alike, on the same machine. Here a file meets other vector
instructions, threads, devices and machines, where floating-point sums come out otherwise in their last bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from bench.common.files import file_name, match_files
from bench.common.hashing import digest_json
from bench.results.decoding_settings import SAME
from bench.results.machines import name_machine
from bench.results.rows import Level, Provenance
from bench.results.schema import Count, Name, StoredRow
from bench.results.store import append_row, read_rows

FOLDER = "crosscheck"  # of stored results: a folder for each dataset

IDENTICAL: Literal["identical"] = "identical"  # every pixel
LATENTS: Literal["latents identical"] = "latents identical"  # and pixels more than one level off
OFF_BY_ONE: Literal["off by one"] = "off by one"  # one level at most; latents are not known to differ
FAILED: Literal["failed"] = "failed"  # with an error
WRONG: Literal["wrong"] = "wrong"  # without an error
OUTCOMES = (IDENTICAL, OFF_BY_ONE, LATENTS, FAILED, WRONG)
Outcome = Literal["identical", "off by one", "latents identical", "failed", "wrong"]


class Crosscheck(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                 tag_field="schema", tag=StoredRow.SCHEMA):
    """One file, decoded once, beside what its encoder expects.

    Attributes:
        key: of what was coded, see :func:`crosscheck_key`.
        series: digest of the codec's identity: weights, settings, revision of the code; not versions of libraries.
        exact: the codec's exact configuration.
        format: version of a learned codec's file; None for other codecs.
        stream_sha256: of the file.
        encoder_setting, decoder_setting: names in :data:`bench.results.decoding_settings.SETTINGS`.
        encoder_machine: as :func:`bench.results.machines.name_machine` says.
        failure: kind of the decoder's error; None where it gave a picture.
        reason: what the error said, or why there is nothing to compare.
        latents_match: the integer latents are those of the encoder; None where one of the two doesn't tell.
        checked: the decoder compared the file's checksum of latents; None where it doesn't tell.
        decode_max_abs_difference: of 8-bit samples, to the encoder's picture.
        pixels_differing: in any channel, of ``pixels_total``.
        provenance: where it was decoded.
    """

    key: Name
    series: Name
    dataset: Name
    image: Name
    image_sha256: Name
    name: Name
    label: Name
    point: Name
    miniature: bool = False
    exact: bool = False
    format: Count | None = None
    stream_sha256: Name
    encoder_setting: Name = SAME
    encoder_machine: str = ""
    decoder_setting: Name
    failure: Name | None = None
    reason: str | None = None
    latents_match: bool | None = None
    checked: bool | None = None
    decode_max_abs_difference: Level | None = None
    pixels_differing: Count | None = None
    pixels_total: Count | None = None
    provenance: Provenance = Provenance()
    code_version: str = ""
    measured_at: str = ""  # ISO 8601, UTC

    @property
    def outcome(self) -> Outcome:
        """How the file came out; what is wrong is worse than what failed, and latents count before pixels."""
        if self.failure is not None:
            return FAILED
        if self.latents_match is False or self.decode_max_abs_difference is None:
            return WRONG
        if self.decode_max_abs_difference == 0:
            return IDENTICAL
        if self.decode_max_abs_difference == 1:
            return OFF_BY_ONE
        return LATENTS if self.latents_match else WRONG

    @property
    def decoder_machine(self) -> str:
        """As :func:`bench.results.machines.name_machine` says."""
        return name_machine(self.provenance)

    @property
    def crossing(self) -> tuple[str, str, str, str]:
        """Machine and setting of the encoder, then of the decoder."""
        return self.encoder_machine, self.encoder_setting, self.decoder_machine, self.decoder_setting

    @property
    def what(self) -> str:
        """"hpcm_base 0.013 kodim01.png on aten-default"."""
        return f"{self.name} {self.point} {self.image} on {self.decoder_setting}"

    def require_sense(self) -> None:
        """See :meth:`StoredRow.require_sense`."""
        if self.failure is not None and self.decode_max_abs_difference is not None:
            raise ValueError("field 'failure': what failed gave no picture")
        if self.failure is None and self.decode_max_abs_difference is None and not self.reason:
            raise ValueError("field 'decode_max_abs_difference': a picture was neither compared nor is there a reason")


def crosscheck_key(series: str, dataset: str, image: str, image_sha256: str, *, exact: bool,
                   version: int | None) -> str:
    """Return the key of what is coded.

    Args:
        series: digest of the codec's identity.
        exact: the codec's exact configuration.
        version: of the file's format; None for codecs without.
    """
    return digest_json({"series": series, "dataset": dataset, "image": image, "image_sha256": image_sha256,
                        "exact": exact, "format": version})


def store_crosscheck(root: Path, row: Crosscheck) -> None:
    """Store one below the folder of results ``root``.

    Raises:
        BenchError: the file can't be written.
    """
    append_row(root / FOLDER / file_name(row.dataset) / f"{file_name(row.name)}.jsonl", row)


def read_crosschecks(root: Path, dataset: str) -> list[Crosscheck]:
    """Return the rows of ``dataset`` that count, see :func:`choose_crosschecks`.

    Raises:
        BenchError: a file is damaged.
    """
    files = match_files(root / FOLDER / file_name(dataset), "*.jsonl")
    return choose_crosschecks(row for path in files for row in read_rows(path, Crosscheck))


def choose_crosschecks(rows: Iterable[Crosscheck]) -> list[Crosscheck]:
    """Return of each crossing of a file the last row, and of each codec and rate point only the series stored last.

    Args:
        rows: in the order they were stored.
    """
    last: dict[tuple[str, ...], Crosscheck] = {}
    current: dict[tuple[object, ...], str] = {}
    for row in rows:
        last[(row.key, *row.crossing)] = row
        current[_coded(row)] = row.series
    return [row for row in last.values() if current[_coded(row)] == row.series]


def _coded(row: Crosscheck) -> tuple[object, ...]:
    return row.name, row.point, row.exact, row.format
