"""The stored row of a latency measurement: one variant, one direction, one shape, one device, one configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.results.rows import StoredRow

LATENCY_SCHEMA = 1

ENCODE, DECODE = "encode", "decode"
OUT_OF_MEMORY = "out of memory"  # a status beside those of bench.results.rows


@dataclass(frozen=True)
class LatencyRow(StoredRow):
    """One measurement with its raw samples, or one failure with its reason.

    ``key`` identifies what was run on what; of rows with one key the last counts. Rows of one ``session`` were
    measured in turns (A B A B), so their ratios compare. Times are of the host's clock, synchronised at both ends,
    from 8-bit pixels to bytes or back. Stages are measured in passes of their own, so that they don't slow the samples.
    """

    key: str
    session: str
    status: str  # "ok", "failed" or "out of memory"
    name: str  # the variant's: "hpcm_base"
    label: str
    direction: str  # "encode" or "decode"
    device: str  # "cpu: ..." or "cuda: ..."
    width: int
    height: int
    batch: int = 1
    configuration: str = "default"  # "default", "channels-last", "half precision", "compiled", "CUDA graphs"
    changes_stream: bool = False  # the configuration gives other bytes than the default one
    reason: str | None = None  # why it failed
    line: str = ""
    miniature: bool = False
    weights: str = "synthetic"  # or "checkpoint, λ 0.013"
    padding: list[int] | None = None  # left, top, right, bottom
    bpp: float | None = None
    decode_matches: bool | None = None  # the decoded image is the encoder's own, in this configuration
    first_s: float | None = None  # first call at this size, after what earlier calls of the process built or loaded
    warmup_s: list[float] = field(default_factory=list)
    warm_because: str = ""  # "stable", "time" (two seconds of calls) or "calls"
    samples_s: list[float] = field(default_factory=list)
    stages_s: dict[str, list[float]] = field(default_factory=dict)  # a value for each pass
    stage_calls: dict[str, int] = field(default_factory=dict)  # in one pass
    stage_totals_s: list[float] = field(default_factory=list)  # whole passes with stages marked
    peak_alloc_bytes: int | None = None  # of the GPU's allocator, over one pass
    peak_reserved_bytes: int | None = None
    stage_peak_alloc_bytes: dict[str, int] = field(default_factory=dict)
    weights_bytes: int | None = None  # parameters and buffers on the device
    rss_bytes: int | None = None  # the host process before a pass, all variants that take turns in it
    peak_rss_bytes: int | None = None  # and at its peak over that pass
    parameters: int | None = None
    unused_parameters: int | None = None  # that neither direction reads
    module_parameters: dict[str, int] = field(default_factory=dict)  # of the model's direct children
    macs: int | None = None  # multiply-accumulates of one pass in this direction
    module_macs: dict[str, int] = field(default_factory=dict)  # of those in its direct children
    skipped_macs: int | None = None  # that the published code spends on a result which nothing reads, and ours doesn't
    uncounted: list[str] = field(default_factory=list)  # operators without a count
    identity: dict[str, Any] = field(default_factory=dict)  # what ``key`` is the digest of
    state: dict[str, Any] = field(default_factory=dict)  # clocks, throttling, governor, load, before and after
    code_version: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    measured_at: str = ""  # ISO 8601, UTC
    schema: int = LATENCY_SCHEMA
