"""Where the suite reads and writes: the checkout's folders, or what the environment says."""

from __future__ import annotations

import os
from pathlib import Path

CATALOGUE_NAME = "datasets.yaml"
BASELINE = "baseline"  # folder of results that holds the accepted state of claims
# Of results, beside those of image sets, which no set may be called.
RESULT_FOLDERS = frozenset({BASELINE, "crosscheck", "latency", "reproduction", "search", "training"})


def repository_root() -> Path:
    """Return the folder that holds ``datasets.yaml``: the checkout, or else the current directory."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / CATALOGUE_NAME).is_file() else Path.cwd()


def default_file(name: str) -> Path:
    """Return the checkout's file called ``name`` ("variants.yaml"), or what ``BENCH_VARIANTS`` says."""
    return Path(os.environ.get(f"BENCH_{Path(name).stem.upper()}") or repository_root() / name)


def default_folder(name: str) -> Path:
    """Return the checkout's folder called ``name``, or what ``BENCH_<NAME>`` says."""
    return Path(os.environ.get(f"BENCH_{name.upper()}") or repository_root() / name)
