"""Operators with compiled versions: which version runs on which device."""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bench.operators.extension import BuildError, Extension

LANGUAGES = {"cpu": "C++", "cuda": "CUDA"}


@dataclass(frozen=True)
class Implementation:
    """How an operator runs on a kind of device.

    Args:
        native: compiled.
        label: for people, such as "native (C++)" or "plain torch (no C++ compiler (c++))".
        identity: for records, such as "biwkv C++ 0123abcd": two results can differ in their last bits, and a stream
            may fail to decode, where the identities do.
    """

    native: bool
    label: str
    identity: str


def native_allowed() -> bool:
    """Whether the environment leaves the choice: BENCH_NATIVE=0 asks for what is not compiled."""
    return os.environ.get("BENCH_NATIVE") != "0"


def c_arguments(*values: Tensor | int) -> list[ctypes.c_void_p | ctypes.c_int64]:
    """Arguments of a C function: pointers to the values of tensors, and 64-bit integers."""
    return [ctypes.c_void_p(value.data_ptr()) if isinstance(value, Tensor) else ctypes.c_int64(value)
            for value in values]


class NativeOperator:
    """The compiled versions of an operator in this process, each built at its first use.

    Args:
        name: of the libraries, and in identities.
        title: how a warning calls it.
        plain: what runs where there is no compiled version, such as "plain torch".
        sources: kind of device ("cpu", "cuda") to the one file to compile.
        headers: files that these include.
        hint: ends the warning that nothing is compiled.
    """

    def __init__(self, name: str, title: str, plain: str, sources: Mapping[str, Path],
                 headers: tuple[Path, ...] = (), hint: str = "") -> None:
        self.name, self.title, self.plain, self.hint = name, title, plain, hint
        self.sources, self.headers = sources, headers
        self._lock = threading.Lock()
        self._libraries: dict[str, ctypes.CDLL] = {}
        self._failures: dict[str, str] = {}

    def extension(self, device: str) -> Extension:
        """What is built for "cpu" or "cuda"."""
        return Extension(f"bench_{self.name}", device, self.sources[device], self.headers)

    def get(self, device: str) -> ctypes.CDLL | None:
        """The library for a device, or None: then ``plain`` must do. The first None of a device is a warning."""
        if not native_allowed() or device not in self.sources:
            return None

        with self._lock:
            if device not in self._libraries and device not in self._failures:
                try:
                    self._libraries[device] = self.extension(device).load()
                except BuildError as error:
                    self._failures[device] = str(error)
                    warnings.warn(f"{self.title} runs in {self.plain} on {device}, many times slower: {error}"
                                  f"{self.hint and f' ({self.hint})'}", stacklevel=2)
            return self._libraries.get(device)

    def status(self, device: str = "cpu") -> Implementation:
        """What runs on a kind of device. Nothing is built for it: a build that is still to come may yet fail."""
        if device not in self.sources:
            return self._plain(f"no kernel for {device}")
        if not native_allowed():
            return self._plain("BENCH_NATIVE=0")

        extension = self.extension(device)
        if missing := self._failures.get(device) or extension.missing():
            return self._plain(missing)
        language = LANGUAGES[device]
        return Implementation(True, f"native ({language})", f"{self.name} {language} {extension.digest}")

    def identity(self, device: str = "cpu") -> str:
        """A short name of what runs on a kind of device, for stored rows. Builds the library if need be."""
        self.get(device)
        return self.status(device).identity

    def _plain(self, reason: str) -> Implementation:
        """What runs where there is no compiled version, and why."""
        return Implementation(False, f"{self.plain} ({reason})", f"{self.name} {self.plain}")
