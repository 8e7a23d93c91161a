"""What a worker is: device, versions, code, free disk. Plans are made for it, and one that differs refuses to measure.

A login node without a GPU asks a worker of the partition, and plans for what that one says of itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

import bench
from bench.common.errors import BenchError
from bench.common.plugins import VARIABLE
from bench.results.machines import find_instructions, find_machine
from bench.results.schema import Count, Name, convert_values, parse_object
from bench.runners.evaluate.unit import Series
from bench.runners.machine import device_name, library_versions, resolve_device
from bench.runners.machine_share import find_free_memory, usable_cores
from bench.runners.nodes.placement import find_node_name
from bench.runners.nodes.unit_json import Text

SUFFIXES = (".py", ".h", ".cpp", ".cu")  # of the package's files that decide what is measured


class WorkerDiffers(BenchError):
    """A worker is not what a batch was planned for."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a batch takes for granted of the worker that measures it.

    Attributes:
        device: "cpu: <model>" or "cuda: <model>".
        instructions: of the processor, where codecs run on it.
        python: its version.
        libraries: name to version.
        code_sha256: see :func:`digest_code`.
        plugins: module of ``BENCH_PLUGINS`` to the SHA-256 of its file, empty where it is not found.
    """

    device: Name
    instructions: Text | None
    python: Name
    libraries: dict[Name, Name]
    code_sha256: Name
    plugins: dict[Name, Text]


class WorkerDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker, as it says itself.

    Attributes:
        node: its name, for messages; stored nowhere.
        expectation: what a batch for such a worker takes for granted.
        torch_device: "cpu" or "cuda".
        machine: all names that its rows may have, see :func:`bench.results.machines.find_machine`.
        cpus: that it may use.
        memory_bytes: that are free.
        free_disk_bytes: where its temporary files go.
    """

    node: Name
    expectation: Expectation
    torch_device: Name
    machine: Name
    cpus: Count
    memory_bytes: Count
    free_disk_bytes: Count

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, line: str | bytes) -> WorkerDescription:
        """Return the description that :meth:`to_json` wrote.

        Raises:
            BenchError: the line is none; the message names the field.
        """
        try:
            return convert_values(parse_object(line), cls)
        except ValueError as error:
            raise BenchError(f"no description of a worker: {error}",
                             "driver and workers need the same version of the suite") from None


def describe_worker(device: str) -> WorkerDescription:
    """Return what this process would measure with.

    Args:
        device: "cpu", "cuda" or "auto".

    Raises:
        ConfigurationError: there is no such device here.
    """
    resolved = resolve_device(device)
    expectation = Expectation(
        device=device_name(resolved), instructions=find_instructions() if resolved == "cpu" else None,
        python=platform.python_version(), libraries=library_versions(), code_sha256=digest_code(),
        plugins=_digest_plugins())
    return WorkerDescription(
        node=find_node_name(), expectation=expectation, torch_device=resolved.partition(":")[0],
        machine=find_machine(), cpus=usable_cores(), memory_bytes=find_free_memory(),
        free_disk_bytes=shutil.disk_usage(tempfile.gettempdir()).free)


@lru_cache
def digest_code() -> str:
    """Return the SHA-256 of the package's code, file by file, whether or not git knows them."""
    package = Path(bench.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in SUFFIXES):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _digest_plugins() -> dict[str, str]:
    names = filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(",")))
    return {name: _digest_module(name) for name in names}


def _digest_module(name: str) -> str:
    try:
        found = importlib.util.find_spec(name)
        return hashlib.sha256(Path(str(found and found.origin)).read_bytes()).hexdigest()
    except (ImportError, ValueError, OSError):
        return ""  # loading it says what is wrong


def list_differences(wanted: Expectation, found: Expectation) -> list[tuple[str, str, str]]:
    """Return what differs: what it is, as it was wanted, as it was found."""
    differences = []
    for name in wanted.__struct_fields__:
        ours, theirs = getattr(wanted, name), getattr(found, name)
        if not isinstance(ours, dict):
            ours, theirs = {name: ours}, {name: theirs}
        for key in sorted({*ours, *theirs}):
            if ours.get(key) != theirs.get(key):
                differences.append((key.removesuffix("_sha256"), *map(_shorten, (ours.get(key), theirs.get(key)))))
    return differences


def _shorten(value: str | None) -> str:
    is_digest = value is not None and len(value) == 64
    return f"{value[:12]}..." if value and is_digest else value or "none"


def refuse_other_worker(wanted: Expectation, found: WorkerDescription) -> None:
    """Let a worker go on that is as planned for.

    Raises:
        WorkerDiffers: it is not; the message says node, wanted and found.
    """
    differences = list_differences(wanted, found.expectation)
    if differences:
        texts = [f"{name}: wanted {ours}, found {theirs}" for name, ours, theirs in differences]
        raise WorkerDiffers(f"node {found.node} is not what was planned for: {'; '.join(texts)}",
                            "give it the driver's code and environment, or leave it out")


def refuse_other_series(planned: Iterable[tuple[str, str]], found: Iterable[Series], node: str) -> None:
    """Let a worker go on that identifies what it measures as the driver did: rows would else have other keys.

    Args:
        planned: name of each unit, and the digest of its series.
        found: the series of each unit, as the worker identifies it.
        node: the worker's.

    Raises:
        WorkerDiffers: a series is another one, or could not be identified here.
    """
    for (name, digest), series in zip(planned, found):
        if series.digest != digest:
            why = series.fault or "another library or setting"
            raise WorkerDiffers(f"node {node} is not what was planned for: series of {name}: wanted {digest[:12]}..., "
                                f"found {series.digest[:12]}... ({why})",
                                "give it the driver's code and environment, or leave it out")
