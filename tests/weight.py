"""Whether what git tracks stays within its budget: `python tests/weight.py [FOLDER]`, which `make lint` calls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

MIB = 2**20
WHOLE = "."
BUDGETS_MIB = {WHOLE: 60, "reports": 8, "results": 15, "checkpoints": 40}  # checkpoints: 20 with smaller miniatures
PAGE, PAGE_MIB = "index.html", 5
SHOWN = 10  # largest files that are named


def measure_tracked(root: Path) -> dict[str, int]:
    """Return the size in bytes of every file that git tracks below ``root`` and that is there.

    Raises:
        subprocess.CalledProcessError: it is no checkout.
    """
    command = ["git", "-C", str(root), "ls-files", "-z"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = {name: root / name for name in names if name}
    return {name: path.lstat().st_size for name, path in paths.items() if path.is_symlink() or path.is_file()}


def find_excess(sizes: Mapping[str, int]) -> Iterator[str]:
    """Say what is over its budget, with its largest files."""
    for folder, budget in BUDGETS_MIB.items():
        within = {name: size for name, size in sizes.items() if folder == WHOLE or name.startswith(f"{folder}/")}
        total = sum(within.values())
        if total > budget * MIB:
            largest = sorted(within.items(), key=lambda item: -item[1])
            lines = [f"  {size / MIB:8.2f} MiB  {name}" for name, size in largest[:SHOWN]]
            rest = [f"  and {len(largest) - SHOWN} more files"] if len(largest) > SHOWN else []
            yield "\n".join([f"{folder}: {total / MIB:.1f} MiB of at most {budget}:", *lines, *rest])
    for name, size in sizes.items():
        if name.startswith("reports/") and Path(name).name == PAGE and size > PAGE_MIB * MIB:
            yield f"{name}: {size / MIB:.1f} MiB, a page of at most {PAGE_MIB}"


def main(root: Path) -> int:
    """Print what is too heavy; 1 if anything is."""
    try:
        excess = list(find_excess(measure_tracked(root)))
    except (subprocess.CalledProcessError, FileNotFoundError):
        print(f"{root} is no checkout of git: what it tracks is not weighed")
        return 0
    if excess:
        print("git tracks more than its budget (tests/weight.py):", *excess, sep="\n")
    return 1 if excess else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
