"""Permissions that bind the superuser too, so that tests of them say the same whoever runs them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_OVERRIDING = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH of capabilities(7)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextmanager
def binding_permissions() -> Iterator[None]:
    """Let this thread read and write only what permissions allow."""
    if os.geteuid() != 0:
        yield
        return

    libc, header, sets = ctypes.CDLL(None, use_errno=True), _Header(_VERSION_3, 0), (_Sets * 2)()

    def call(function: ctypes._CFuncPtr) -> None:
        if function(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), "capabilities")

    call(libc.capget)
    before = sets[0].effective
    sets[0].effective &= ~_OVERRIDING
    call(libc.capset)
    try:
        yield
    finally:
        sets[0].effective = before
        call(libc.capset)
