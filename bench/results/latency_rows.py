"""The stored row of a latency measurement: one variant, one direction, one shape, one device, one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import msgspec

from bench.results.rows import OK, Provenance
from bench.results.schema import Count, Duration, Name, Number, Padding, Positive, Size, StoredRow

Direction = Literal["encode", "decode"]
ENCODE: Literal["encode"] = "encode"
DECODE: Literal["decode"] = "decode"
DIRECTIONS: tuple[Direction, Direction] = (ENCODE, DECODE)
OUT_OF_MEMORY: Literal["out of memory"] = "out of memory"  # a status beside those of bench.results.rows


class LatencyIdentity(msgspec.Struct, frozen=True):
    """What is read of an identity, which may hold anything else."""

    image: str = ""
    threads: Count | None = None
    deterministic: bool | None = None


class ReadBefore(msgspec.Struct, frozen=True):
    """What is read of a machine's state before a measurement."""

    gpu: dict[str, Any] = {}


class ReadState(msgspec.Struct, frozen=True):
    """What is read of a machine's state, which may hold anything else."""

    before: ReadBefore = ReadBefore()
    warnings: tuple[str, ...] = ()


class LatencyRow(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                 tag_field="schema", tag=StoredRow.SCHEMA):
    """One measurement with its raw samples, or one failure with its reason.

    ``key`` identifies what was run on what; of rows with one key the last counts. Rows of one ``session`` were
    measured in turns (A B A B), so their ratios compare. Times are of the host's clock, synchronised at both ends,
    from 8-bit pixels to bytes or back. Stages are measured in passes of their own, so that they don't slow the samples.
    """

    OPEN_FIELDS: ClassVar[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
        {"identity": LatencyIdentity, "state": ReadState})

    key: Name
    session: Name
    status: Literal["ok", "failed", "out of memory"]
    name: Name  # the variant's: "hpcm_base"
    label: Name
    direction: Direction
    device: Name  # "cpu: ..." or "cuda: ..."
    width: Size
    height: Size
    batch: Size = 1
    configuration: str = "default"  # "default", "channels-last", "half precision", "compiled", "CUDA graphs"
    changes_stream: bool = False  # the configuration gives other bytes than the default one
    reason: str | None = None  # why it failed
    line: str = ""
    miniature: bool = False
    weights: str = "synthetic"  # or "checkpoint, λ 0.013"
    padding: Padding | None = None  # left, top, right, bottom
    bpp: Positive | None = None
    decode_matches: bool | None = None  # the decoded image is the encoder's own, in this configuration
    first_s: Duration | None = None  # first call at this size, after what earlier calls of the process built or loaded
    warmup_s: tuple[Duration, ...] = ()
    warm_because: str = ""  # "stable", "time" (two seconds of calls) or "calls"
    samples_s: tuple[Positive, ...] = ()
    stages_s: dict[str, tuple[Number, ...]] = {}  # for each pass; "rest" falls below 0 where two clocks disagree
    stage_calls: dict[str, Count] = {}  # in one pass
    stage_totals_s: tuple[Duration, ...] = ()  # whole passes with stages marked
    peak_alloc_bytes: Count | None = None  # over one pass: as a GPU's allocator tells it, on a CPU the profiler's sum
    peak_reserved_bytes: Count | None = None
    stage_peak_alloc_bytes: dict[str, Count] = {}
    weights_bytes: Count | None = None  # parameters and buffers on the device
    rss_bytes: Count | None = None  # the host process before a pass, all variants that take turns in it
    peak_rss_bytes: Count | None = None  # and at its peak over that pass
    parameters: Count | None = None
    unused_parameters: Count | None = None  # that neither direction reads
    module_parameters: dict[str, Count] = {}  # of the model's direct children
    macs: Count | None = None  # multiply-accumulates of one pass in this direction
    module_macs: dict[str, Count] = {}  # of those in its direct children
    skipped_macs: Count | None = None  # that the published code spends on a result which nothing reads
    uncounted: tuple[str, ...] = ()  # operators without a count
    identity: dict[str, Any] = {}  # what ``key`` is the digest of
    state: dict[str, Any] = {}  # clocks, throttling, governor, load, before and after
    code_version: str = ""
    provenance: Provenance = Provenance()
    measured_at: str = ""  # ISO 8601, UTC

    def require_sense(self) -> None:
        """See :meth:`StoredRow.require_sense`: what was measured has samples."""
        if self.status == OK and not self.samples_s:
            raise ValueError("field 'samples_s': what was measured has samples")

    @classmethod
    def upgrade(cls, values: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`StoredRow.upgrade`; keys stay, since times are a machine's."""
        machine = values.pop("machine", {})
        return {**values, "provenance": machine}
