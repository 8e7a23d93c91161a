"""Where a row was made: the machine, its libraries, and how the run was set up. Never part of an identity."""

from __future__ import annotations

from bench.results.schema import Count, Number, Stored


class Provenance(Stored, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a row says of its machine: no host names, no paths.

    Attributes:
        device: "cpu: <model of the processor>" or "cuda: <model>".
        cpus: that the process may use.
        jobs: units measured at the same time.
        threads: torch's.
        deterministic: torch was asked for deterministic algorithms.
        operators: what computes operators of our own: "biwkv C++ b1cc1c87", or plain torch.
        flags: what in the environment changes instructions, such as ``ATEN_CPU_CAPABILITY``.
        libraries: name to version.
        freed_memory_kept: the allocator kept what was freed, so that a pass does not wait for fresh pages.
        engine: what ran the unit on a cluster, with the ``node``, ``slot`` and ``attempt`` there.
        nice: the process' nice value, where it is not 0.
        cpu_quota: CPUs that a control group allows, where it limits them.
    """

    device: str = ""
    cpus: Count | None = None
    jobs: Count | None = None
    system: str = ""
    python: str = ""
    libraries: dict[str, str] = {}
    threads: Count | None = None
    deterministic: bool | None = None
    cuda: str | None = None
    cudnn: Count | None = None
    cudnn_benchmark: bool | None = None
    tf32: bool | None = None
    operators: str | None = None
    flags: dict[str, str] = {}
    freed_memory_kept: bool | None = None
    engine: str | None = None
    node: str | None = None
    slot: str | None = None
    attempt: Count | None = None
    nice: int | None = None
    cpu_quota: Number | None = None
