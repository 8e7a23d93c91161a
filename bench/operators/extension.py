"""Compile C++ and CUDA sources on first use; keep the libraries in torch's folder of extensions.

Where nothing can be written there, they are built into a temporary folder: the run's, or the process' own.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType

import torch

from bench.common.errors import BenchError
from bench.common.files import PlaceError, writing
from bench.common.folders import find_home
from bench.common.locks import hold_lock
from bench.common.temporary import RUN_FOLDER, temporary_folder

PLACE = "TORCH_EXTENSIONS_DIR"  # environment variable: where libraries are kept
CPU_FLAGS = {
    "AVX512": ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"),
    "AVX2": ("-mavx2", "-mfma"),
}


class BuildError(Exception):
    """A library can't be had; the message says what is missing."""


@dataclass(frozen=True)
class Extension:
    """A library of plain C functions for one kind of device, "cpu" or "cuda".

    Its file's name carries a digest of the sources, the flags and torch's version, so a stale one is never loaded. It
    is built in a folder of its own and then moved into place: no process ever sees a part of it. A lock that the
    system frees when its holder dies keeps several processes from building at once.

    Args:
        name: of the library, without device or digest.
        device: "cpu" or "cuda".
        source: the one file to compile.
        headers: files that it includes.
    """

    name: str
    device: str
    source: Path
    headers: tuple[Path, ...] = ()

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Compiler flags: for this processor's vectors, or for the GPUs that are here."""
        if self.device == "cpu":
            return ("-O3", "-fopenmp", "-Wno-psabi", *CPU_FLAGS.get(torch.backends.cpu.get_cpu_capability(), ()))
        capabilities = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
        return ("-O3", *(f"-gencode=arch=compute_{a}{b},code=sm_{a}{b}" for a, b in sorted(capabilities)))

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits that change with the source, the flags and torch's version."""
        digest = hashlib.sha256(f"{torch.__version__} {' '.join(self.flags)}".encode())
        for file in (self.source, *self.headers):
            digest.update(file.read_bytes())
        return digest.hexdigest()[:8]

    @property
    def file(self) -> Path:
        """Where the library is, once it is built."""
        return self._file_in(Path(os.environ.get(PLACE) or _cpp_extension().get_default_build_root()))

    def _file_in(self, place: Path) -> Path:
        full_name = f"{self.name}_{self.device}_{self.digest}"
        return place / full_name / f"{full_name}.so"

    def missing(self) -> str | None:
        """What is not here that a build needs; None where it can be tried or was done already."""
        if self.device == "cuda" and not torch.cuda.is_available():
            return "no GPU"
        if os.path.exists(self.file):
            return None

        compiler = os.environ.get("CXX", "c++").split()[0]
        if not shutil.which(compiler):
            return f"no C++ compiler ({compiler})"
        if not (shutil.which("ninja") or importlib.util.find_spec("ninja")):
            return "no ninja"

        if self.device == "cuda":
            home = _cpp_extension().CUDA_HOME
            if home is None or not (Path(home) / "bin" / "nvcc").exists():
                return "no CUDA compiler (nvcc)"
        return None

    def load(self) -> ctypes.CDLL:
        """Load the library, building it first if need be.

        Raises:
            BuildError: it is not there and can't be built.
        """
        if missing := self.missing():
            raise BuildError(missing)
        try:
            file = self.file if os.path.exists(self.file) else self._build_somewhere()
            return ctypes.CDLL(str(file))
        except (BenchError, OSError, RuntimeError) as error:
            raise BuildError(_first_error(str(error))) from error

    def _build_somewhere(self) -> Path:
        """Build where libraries are kept, else in a temporary folder; returns the library."""
        try:
            _require_home()
            return self._build(self.file)
        except BenchError as error:
            place, is_new = _find_spare_place()
            if is_new:
                warnings.warn(f"compiled operators are built for this run alone: {str(error).splitlines()[0]}",
                              stacklevel=2)
            return self._build(self._file_in(place))

    def _build(self, file: Path) -> Path:
        """Compile in a folder of its own, then move the library into place and return it.

        Raises:
            BenchError: the place can't be written, or has no locks.
            RuntimeError: it does not compile.
        """
        folder = file.parent
        with hold_lock(folder / "building"), _ninja_on_path(), ExitStack() as stack:
            if file.exists():
                return file

            for left_over in folder.glob("build-*"):  # by a process that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            with writing(folder):
                build = stack.enter_context(tempfile.TemporaryDirectory(prefix="build-", dir=folder))
            flags = {"extra_cflags": list(self.flags)}
            if self.device == "cuda":  # the libraries are not always beside the first nvcc of the path
                flags = {"extra_cuda_cflags": list(self.flags), "extra_ldflags": ["-L/usr/local/cuda/lib64"]}
            built = _cpp_extension().load(file.stem, [str(self.source)], build_directory=build,
                                          is_python_module=False, **flags)
            with writing(file):
                os.replace(built, file)
        return file


def _require_home() -> None:
    """Refuse to keep libraries below a home folder that is not known: torch would make one called "~" here.

    Raises:
        PlaceError: it is not known, and no other place is named.
    """
    if not os.environ.get(PLACE) and not os.environ.get("XDG_CACHE_HOME") and find_home() is None:
        raise PlaceError(f"they can't be kept: this user has no home folder, and {PLACE} names no other")


def _find_spare_place() -> tuple[Path, bool]:
    """A temporary folder that is removed at the end of the run or of this process, and whether it is new."""
    if run := os.environ.get(RUN_FOLDER):
        place = Path(run) / "operators"
        try:
            place.mkdir()
        except FileExistsError:
            return place, False
        return place, True
    before = _make_own_place.cache_info().currsize
    return _make_own_place(), before == 0


@cache
def _make_own_place() -> Path:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(temporary_folder("operators"))


def _cpp_extension() -> ModuleType:
    """torch's builder, without its remark that there is no GPU."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils import cpp_extension

    return cpp_extension


@contextmanager
def _ninja_on_path() -> Iterator[None]:
    """Let torch find the ninja of this environment, activated or not."""
    path = os.environ.get("PATH", "")
    if not shutil.which("ninja"):
        import ninja

        os.environ["PATH"] = os.pathsep.join([ninja.BIN_DIR, path])
    try:
        yield
    finally:
        os.environ["PATH"] = path


def _first_error(log: str) -> str:
    """The line of a compiler's log that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[0] if lines else "the build failed")
