"""Compile C++ and CUDA sources on first use; keep the libraries in torch's folder of extensions."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import torch
from filelock import FileLock

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
        root = os.environ.get("TORCH_EXTENSIONS_DIR") or _cpp_extension().get_default_build_root()
        full_name = f"{self.name}_{self.device}_{self.digest}"
        return Path(root) / full_name / f"{full_name}.so"

    def missing(self) -> str | None:
        """What is not here that a build needs; None where it can be tried or was done already."""
        if self.device == "cuda" and not torch.cuda.is_available():
            return "no GPU"
        if self.file.exists():
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
            if not self.file.exists():
                self._build()
            return ctypes.CDLL(str(self.file))
        except (OSError, RuntimeError) as error:
            raise BuildError(_first_error(str(error))) from error

    def _build(self) -> None:
        """Compile in a folder of its own, then move the library into place."""
        folder = self.file.parent
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "building"), _ninja_on_path():
            if self.file.exists():
                return

            for left_over in folder.glob("build-*"):  # by a process that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as build:
                flags = {"extra_cflags": list(self.flags)}
                if self.device == "cuda":  # the libraries are not always beside the first nvcc of the path
                    flags = {"extra_cuda_cflags": list(self.flags), "extra_ldflags": ["-L/usr/local/cuda/lib64"]}
                built = _cpp_extension().load(self.file.stem, [str(self.source)], build_directory=build,
                                              is_python_module=False, **flags)
                os.replace(built, self.file)


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
