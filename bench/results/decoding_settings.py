"""Settings that a file is decoded under by ``crosscheck``: other code of the same libraries, threads, devices.

Only names and what they set: which of them a machine has, :mod:`bench.runners.crosscheck.settings` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.common.registry import Registry

SAME = "same"
_CPU = "cpu"
_ATEN, _ONEDNN, _MKL, _NATIVE = "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "BENCH_NATIVE"


@dataclass(frozen=True)
class DecodingSetting:
    """What differs from the process that encoded.

    Attributes:
        label: how tables call it.
        environment: of the decoder's process, set before anything is imported there.
        threads: torch's; None leaves the usual ones.
        device: "cpu" or "cuda"; None leaves the usual one.
        needs: vector instructions that the processor must have, as /proc/cpuinfo calls them.
    """

    label: str
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    device: str | None = None
    needs: tuple[str, ...] = ()


SETTINGS: Registry[DecodingSetting] = Registry("setting of decoding")
SETTINGS.add(SAME, DecodingSetting("as usual"))
SETTINGS.add("aten-default", DecodingSetting("ATen without vectors", {_ATEN: "default"}, device=_CPU))
SETTINGS.add("aten-avx2", DecodingSetting("ATen AVX2", {_ATEN: "avx2"}, device=_CPU, needs=("avx2",)))
SETTINGS.add("onednn-sse41", DecodingSetting("oneDNN SSE4.1", {_ONEDNN: "SSE41"}, device=_CPU, needs=("sse4_1",)))
SETTINGS.add("onednn-avx2", DecodingSetting("oneDNN AVX2", {_ONEDNN: "AVX2"}, device=_CPU, needs=("avx2",)))
SETTINGS.add("mkl-compatible", DecodingSetting("MKL for any processor", {_MKL: "COMPATIBLE"}, device=_CPU))
SETTINGS.add("threads-1", DecodingSetting("one thread", threads=1, device=_CPU))
SETTINGS.add("threads-2", DecodingSetting("two threads", threads=2, device=_CPU))
SETTINGS.add("scalar", DecodingSetting("ATen without vectors, oneDNN SSE4.1, two threads",
                                       {_ATEN: "default", _ONEDNN: "SSE41"}, 2, _CPU, ("sse4_1",)))
SETTINGS.add("python", DecodingSetting("no operators of our own", {_NATIVE: "0"}, device=_CPU))
SETTINGS.add("cuda", DecodingSetting("GPU", device="cuda"))


def label_setting(name: str) -> str:
    """Return how tables call a setting; one of a later version of the suite by its name."""
    return SETTINGS.get(name).label if name in SETTINGS else name
