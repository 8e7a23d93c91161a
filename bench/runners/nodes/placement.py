"""Where a unit runs, as its rows say: node, engine, slot and attempt; no host names."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LOCAL = "local"
SLOT_VARIABLE = "BENCH_SLOT"
_ENGINE, _ATTEMPT, _NODE = "BENCH_ENGINE", "BENCH_ATTEMPT", "BENCH_NODE"
_NODE_NAMES = (_NODE, "SLURMD_NODENAME")  # several nodes of one host have names of their own
_SALTS = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))


@dataclass(frozen=True)
class Placement:
    """What an engine tells the processes of a unit, through their environment, which they hand on.

    Attributes:
        engine: its name.
        slot: of those that the node has: "gpu1", "cpu0".
        attempt: how often the batch was tried, this time included.
    """

    engine: str = LOCAL
    slot: str | None = None
    attempt: int = 1

    @property
    def environment(self) -> dict[str, str]:
        """Variables that say so to :func:`read_placement` in another process."""
        slot = {} if self.slot is None else {SLOT_VARIABLE: self.slot}
        return {_ENGINE: self.engine, _ATTEMPT: str(self.attempt), **slot}


def read_placement() -> Placement:
    """Return where this process runs, by its environment."""
    attempt = os.environ.get(_ATTEMPT, "")
    return Placement(os.environ.get(_ENGINE) or LOCAL, os.environ.get(SLOT_VARIABLE) or None,
                     int(attempt) if attempt.isdecimal() else 1)


def find_node_name() -> str:
    """Return what people call this machine; for messages alone, never for rows."""
    return next(filter(None, map(os.environ.get, _NODE_NAMES)), None) or socket.gethostname()


def identify_node() -> str:
    """Return 12 hex digits that tell this machine from others, and from which nobody finds its name.

    The salt is the machine's own id, which is random and, by machine-id(5), not to be shown to others.
    """
    return _hash_name(find_node_name())


@lru_cache
def _hash_name(name: str) -> str:
    salt = b""
    for path in _SALTS:
        try:
            salt = salt or path.read_bytes().strip()
        except OSError:
            continue
    return hmac.new(salt or b"bench", name.encode(), hashlib.sha256).hexdigest()[:12]
