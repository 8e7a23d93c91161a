"""The answer: what each codec needs in rate, time and memory, and what its claims came to. Reading it is light."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from bench.claims.change import Change
from bench.common.errors import BenchError
from bench.common.files import file_name, reading
from bench.results.machines import OR, Machine
from bench.results.schema import Count, Name, Number, Positive, StoredRow

FILE = "answer.json"  # within the folder of reports
VERDICTS = {"REPRODUCED": "supported", "SUPPORTED": "supported", "REFUTED": "refuted"}  # all others are open
CLASSICAL = "Classical codecs"  # the line of codecs that are not learned

Ends = tuple[Number, Number]  # of a 95 % interval


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of the answer; what is not known is left out."""


class BDRate(Entry, frozen=True, kw_only=True):
    """A BD-rate of averaged curves, and beside it of single images where those of both are known.

    Attributes:
        by: the metric's label, for codecs trained for another than PSNR.
        interval: over images.
        images_percent: mean over single images, where most have a BD-rate; ``images_interval``: over images.
        median_percent: of the same.
        without_one: lowest and highest ``percent`` with one image left out.
        remark: why both numbers part, where they do by more than the interval or 3 points.
        published: codec or baseline, or both, are published points; VVC curves, which always are, don't count.
    """

    percent: Number
    by: str = ""
    interval: Ends | None = None
    images_percent: Number | None = None
    images_interval: Ends | None = None
    median_percent: Number | None = None
    without_one: Ends | None = None
    remark: str = ""
    published: bool = False


class Rate(Entry, frozen=True, kw_only=True):
    """What a codec needs on one dataset.

    Attributes:
        origin: measured here, or from the published points of the very same model.
        versus_anchor: against the dataset's anchor; None where there is no BD-rate.
        versus_base: against the baseline, for a miniature that of the miniatures.
        remark: why there is none, and what else has to be said.
    """

    origin: Literal["measured", "published"]
    points: Count
    images: Count | None = None
    versus_anchor: BDRate | None = None
    versus_base: BDRate | None = None
    remark: str = ""


class Cost(Entry, frozen=True, kw_only=True):
    """What a codec costs on one device, at one size.

    Attributes:
        device: with its instructions, where rows tell them.
        model: the variant that was measured; another one where a variant is only trained otherwise.
        decode_ratio: decode time against the baseline that took turns with it, for a miniature that of the miniatures.
        decode_differs: the ratio is beyond its interval and the noise floor.
        peak_bytes: what tensors take at most, of the direction that takes more.
        kmac_is_lower_bound: an operator that could not be counted may do more than all that were.
    """

    device: Name
    shape: Name
    model: Name
    weights: str
    encode_s: Positive | None = None
    decode_s: Positive | None = None
    decode_ratio: Positive | None = None
    decode_interval: Ends | None = None
    decode_differs: bool = False
    peak_bytes: Count | None = None
    parameters: Count | None = None
    encode_kmac_per_pixel: Number | None = None
    decode_kmac_per_pixel: Number | None = None
    kmac_is_lower_bound: bool = False


class Elsewhere(Entry, frozen=True, kw_only=True):
    """How files decode under other settings, or on other machines, than they were encoded under.

    Attributes:
        files: that were tried.
        alike: of these, with identical latents wherever they were tried.
        settings: other settings that were tried.
        wrong: decodings that gave a wrong picture without an error.
    """

    files: Count
    alike: Count
    settings: Count
    wrong: Count = 0


class AnswerRow(Entry, frozen=True, kw_only=True):
    """One codec.

    Attributes:
        line: of the variant; :data:`CLASSICAL` for codecs that are not learned.
        rates: by dataset.
        costs: by device, the one measured last first.
        elsewhere: how its files decode elsewhere, by configuration: "default" or "exact".
        supported, refuted, open: how many claims about it came out again or are supported, are refuted, or neither.
    """

    name: Name
    label: Name
    line: str = ""
    miniature: bool = False
    rates: dict[Name, Rate] = {}
    costs: tuple[Cost, ...] = ()
    elsewhere: dict[Literal["default", "exact"], Elsewhere] = {}
    supported: Count = 0
    refuted: Count = 0
    open: Count = 0


class AnswerDataset(Entry, frozen=True, kw_only=True):
    """One dataset.

    Attributes:
        benchmark: it is a set that VVC curves are published of, and no folder of the user's.
        images: how many were measured; 0 where all curves are published ones.
        total: how many the whole set has.
        coverage: "24 of 100 images", "24 images, 2 altered"; empty where all of the set were measured, or none.
        warnings: what has to be said before any number of it.
        anchor: what codecs are compared with; empty where there is nothing.
        base, base_miniature: the baselines; empty where there is none.
        machines: where its rows were made.
    """

    name: Name
    title: Name
    benchmark: bool = False
    images: Count = 0
    total: Count | None = None
    coverage: str = ""
    warnings: tuple[str, ...] = ()
    anchor: str = ""
    base: str = ""
    base_miniature: str = ""
    machines: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Title and coverage, where this is not the whole set."""
        return f"{self.title} ({self.coverage})" if self.coverage else self.title


class AnswerClaim(Entry, frozen=True, kw_only=True):
    """One claim about a codec, judged by one kind of evidence; figures as text, with their units."""

    name: Name
    codec: Name
    what: str
    claimed: str
    verdict: Name
    miniature: bool = False
    versus: str = ""
    where: str = ""
    measured: str = ""
    interval: str = ""
    of_images: str = ""  # mean over single images with its interval, median, averaged curves without one image


class Answer(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
             tag_field="schema", tag=1):
    """Everything that the front page and the terminal say.

    Attributes:
        compared: there is an accepted state, which ``changes`` are against.
    """

    SCHEMA: ClassVar[int] = 1

    datasets: tuple[AnswerDataset, ...]
    rows: tuple[AnswerRow, ...]
    claims: tuple[AnswerClaim, ...]
    changes: tuple[Change, ...]
    compared: bool

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def find_dataset(self, name: str) -> AnswerDataset | None:
        """Return the dataset of that name, or in the folder of that name; None where nothing is known of it."""
        return next((one for one in self.datasets if name in (one.name, file_name(one.name))), None)

    def require_sense(self) -> None:
        """See :meth:`StoredRow.require_sense`: rates are of datasets that are described, and rows have one name each.

        Raises:
            ValueError: they aren't; the message names the field.
        """
        known = {one.name for one in self.datasets}
        names = [row.name for row in self.rows]
        for place, row in enumerate(self.rows):
            if strange := sorted(set(row.rates) - known):
                raise ValueError(f"field 'rows[{place}].rates': '{strange[0]}' is not among the datasets")
            if names.index(row.name) != place:
                raise ValueError(f"field 'rows[{place}].name': '{row.name}' stands twice")

    @property
    def benchmarks(self) -> list[AnswerDataset]:
        """The sets that VVC curves are published of, or whatever else was measured where none of these is there."""
        return [dataset for dataset in self.datasets if dataset.benchmark] or list(self.datasets)

    @property
    def worse(self) -> tuple[Change, ...]:
        """The changes for the worse."""
        return tuple(change for change in self.changes if change.worse)

    def choose_changes(self, codecs: Collection[str]) -> list[Change]:
        """Return the changes of these codecs, and of what all have in common; all where none are named."""
        return [change for change in self.changes if not codecs or change.codec in (*codecs, "")]


def read_answer(path: Path) -> Answer:
    """Read an answer that :meth:`Answer.to_bytes` wrote.

    Raises:
        BenchError: it is missing or damaged; the message names the field.
    """
    try:
        with reading(path, ValueError):
            return Answer.from_json(path.read_bytes())
    except BenchError as error:
        error.hint = "make it again: python -m bench report"
        raise


def summarise_verdict(verdict: str) -> str:
    """Return "supported", "refuted" or "open"."""
    return VERDICTS.get(verdict, "open")


def choose_cost(row: AnswerRow, machine: Machine = "") -> Cost | None:
    """Return what a codec costs, as ``machine`` measured it, or else as the device that measured it last."""
    here = machine.split(OR)
    return next((cost for cost in row.costs if cost.device in here), row.costs[0] if row.costs else None)
