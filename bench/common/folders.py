"""Where the suite reads and writes: the checkout's folders, or what the environment says."""

from __future__ import annotations

import os
from pathlib import Path

from bench.common.errors import ConfigurationError

CATALOGUE_NAME = "datasets.yaml"
JOBS = ".jobs"  # folder of results that holds runs on a cluster, until their rows are stored
BASELINE = "baseline"  # folder of results that holds the accepted state of claims
# Of results, beside those of image sets, which no set may be called.
RESULT_FOLDERS = frozenset({BASELINE, "crosscheck", "latency", "reproduction", "search", "training"})


def repository_root() -> Path:
    """Return the folder that holds ``datasets.yaml``: the checkout, or else the current directory."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / CATALOGUE_NAME).is_file() else Path.cwd()


def default_file(name: str) -> Path:
    """Return the checkout's file called ``name`` ("variants.yaml"), or what ``BENCH_VARIANTS`` says."""
    return read_place(f"BENCH_{Path(name).stem.upper()}") or repository_root() / name


def default_folder(name: str) -> Path:
    """Return the checkout's folder called ``name``, or what ``BENCH_<NAME>`` says."""
    return read_place(f"BENCH_{name.upper()}") or repository_root() / name


def read_place(variable: str) -> Path | None:
    """Return the path that an environment variable holds; None where it holds none."""
    given = os.environ.get(variable, "").strip()
    return expand_home(given, variable) if given else None


def find_home() -> Path | None:
    """Return the user's home folder; None where HOME is not set and the system doesn't know the user."""
    home = os.path.expanduser("~")
    return None if home == "~" else Path(home)


def expand_home(path: str, origin: str) -> Path:
    """Return a path with the home folder that "~" at its start stands for.

    Args:
        origin: what says the path, for the message.

    Raises:
        ConfigurationError: there is no such home folder.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):  # left as it was: HOME is not set, and the user not known to the system
        raise ConfigurationError(f"{origin} names {path}, and {path.split('/')[0]} has no home folder here",
                                 "set HOME, or write the path out")
    return Path(expanded)
