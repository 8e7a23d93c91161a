"""Which machine a row was made on, and which one this is; asks neither torch nor a driver.

A machine is what computes: a processor with the instructions that it offers, or a GPU. Floating-point sums come out
alike on all of one kind and, in their last bits, not always on two. Cores, clocks, host names and versions of libraries
don't make another machine; these are in the provenance too.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # they load numpy
    from bench.results.latency_rows import LatencyRow
    from bench.results.rows import Provenance, Row

CPU = "cpu: "
_CPU_INFO = Path("/proc/cpuinfo")
_GPU_INFO = Path("/proc/driver/nvidia/gpus")
# Where torch, oneDNN and MKL choose other code, and so other orders of sums.
_LEVELS = {"AVX-512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "AVX2": {"avx2", "fma"}}

R = TypeVar("R", "Row", "LatencyRow")
Machine = str  # all names that rows of one machine may have, see name_machine, with this between them:
OR = " | "


def name_machine(provenance: Provenance) -> str:
    """Return what the machine of a row is called: "cpu: AMD EPYC, AVX2"; "" where the row does not say.

    Rows of before their instructions were stored have the processor's name alone.
    """
    return ", ".join(filter(None, (provenance.device, provenance.instructions)))


@lru_cache
def find_machine() -> Machine:
    """Return the names that rows made here have: "cpu: AMD EPYC | cpu: AMD EPYC, AVX2 | cuda: NVIDIA H200".

    A row of before instructions were stored counts as made here where its processor has the same name.
    """
    processor = CPU + find_processor()
    instructions = find_instructions()
    gpus = (f"cuda: {gpu}" for gpu in find_gpus())
    names = processor, ", ".join(filter(None, (processor, instructions))), *gpus
    return OR.join(dict.fromkeys(names))


def is_from(row: Row | LatencyRow, machine: Machine) -> bool:
    """Whether ``row`` was made on ``machine``."""
    return name_machine(row.provenance) in machine.split(OR)


def keep_from(rows: Iterable[R], machine: Machine | None) -> list[R]:
    """Return those of ``rows`` that were made on ``machine``; all where it is None."""
    return [row for row in rows if machine is None or is_from(row, machine)]


def choose_counting(rows: Iterable[Row]) -> list[Row]:
    """Return one row of each key: the last one made on this machine; where none was, the last one.

    Args:
        rows: in the order they were stored.
    """
    here = find_machine()
    chosen: dict[str, Row] = {}
    for row in rows:
        before = chosen.get(row.key)
        if before is None or is_from(row, here) or not is_from(before, here):
            chosen[row.key] = row
    return list(chosen.values())


def describe_mixture(rows: Iterable[Row]) -> str | None:
    """Say how many of ``rows`` each machine made; None where all were made on one."""
    made = Counter(name_machine(row.provenance) or "a machine that is not stated" for row in rows)
    if len(made) < 2:
        return None
    return "rows of several machines: " + "; ".join(f"{number} of {name}" for name, number in sorted(made.items()))


@lru_cache
def find_processor() -> str:
    """Return what the processor here calls itself."""
    found = re.search(r"^(?:model name|Model)\s*:(.*)", _read(_CPU_INFO), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


@lru_cache
def find_instructions() -> str | None:
    """Return the widest vector instructions of the processor here; None where that is not known."""
    flags = find_flags()
    return next((level for level, needed in _LEVELS.items() if needed <= flags), None)


def find_flags() -> set[str]:
    """Return what the processor here can do, as the kernel calls it: {"sse4_1", "avx2", ...}."""
    found = re.search(r"^flags\s*:(.*)", _read(_CPU_INFO), re.MULTILINE)
    return set(found[1].split()) if found else set()


def find_gpus() -> list[str]:
    """Return the models of the GPUs here, as the driver lists them."""
    models = (re.search(r"^Model:(.*)", _read(path), re.MULTILINE) for path in sorted(_GPU_INFO.glob("*/information")))
    return [model[1].strip() for model in models if model]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
