"""Entry point of ``python -m bench``."""

import sys

from bench.common.interruption import run_interruptible


def _run() -> int:
    from bench.cli import main  # a signal may come while it is imported

    return main()


if __name__ == "__main__":
    sys.exit(run_interruptible(_run))
