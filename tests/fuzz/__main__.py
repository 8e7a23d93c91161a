"""Tries inputs for minutes: ``make fuzz MINUTES=30``; a failing one is written into a file and can be tried again."""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from fuzz.bounds import HANGING_S
from fuzz.campaign import CURRENT, GENERATORS, Failure, replay, run_for

TURN_S = 60.0  # of a generator, then comes the next
FOLDER = Path("runs") / "fuzz"  # which git ignores
FAILED = 1


def main() -> int:
    """Run a campaign, one generator in this process, or an input again."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--generators", default=",".join(GENERATORS), help="of: %(default)s")
    parser.add_argument("--seed", type=int, help="of the first turn; random by default")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of failing inputs (%(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try a failing input again, and nothing else")
    parser.add_argument("--turn", help=argparse.SUPPRESS)  # the one generator that this process runs
    args = parser.parse_args()
    names = args.generators.split(",")
    if unknown := [name for name in names if name not in GENERATORS]:
        parser.error(f"there is no generator '{unknown[0]}'")
    place = args.folder / f"{os.getpid()}"
    if args.replay:
        print(replay(args.replay, place))
        return 0
    if args.turn:
        return run_turn(args.turn, 60 * args.minutes, place, args.seed)
    seed = random.randrange(2**32) if args.seed is None else args.seed
    return run_campaign(names, 60 * args.minutes, args.folder, seed)


def run_turn(name: str, seconds: float, place: Path, seed: int) -> int:
    """Run one generator; print what was tried so far, in JSON."""
    logging.disable()
    place.mkdir(parents=True)
    try:
        for counts in run_for(GENERATORS[name], seconds, place, seed):
            print(json.dumps(counts), flush=True)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return FAILED
    place.rmdir()
    return 0


def run_campaign(names: list[str], seconds: float, folder: Path, seed: int) -> int:
    """Run generators in turns, each in a process of its own, and say how many inputs were tried."""
    totals = {name: Counter[str]() for name in names}
    failed, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1:
        for name in random.Random(seed).sample(names, len(names)):  # a short campaign is not always of the same ones
            turn_s = min(TURN_S, max(left / len(names), 5))
            counts, is_whole = run_process(name, turn_s, folder, seed)
            totals[name] += counts
            failed += not is_whole
            everything = sum(total.total() for total in totals.values())
            left_s = max(end - time.monotonic(), 0)
            print(f"{everything:>9,} inputs, {failed} failed, {left_s / 60:4.1f} min left; {name} (seed {seed}): "
                  f"{describe(totals[name])}", flush=True)
            if left_s == 0:
                break
        seed += 1_000_003

    print("\n".join(f"{name:>12}: {describe(total)}" for name, total in totals.items()))
    return FAILED if failed else 0


def run_process(name: str, seconds: float, folder: Path, seed: int) -> tuple[Counter[str], bool]:
    """Run a turn in a process; return what it tried, and whether nothing failed."""
    command = [sys.executable, "-m", "fuzz", "--turn", name, "--minutes", f"{seconds / 60}", "--seed", str(seed),
               "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds + 2 * HANGING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
    lines = [json.loads(line) for line in output.splitlines()]
    if process.returncode not in (0, FAILED):  # it died or was killed
        left = list((folder / f"{process.pid}").glob(f"{CURRENT}.json"))
        print(f"{name} ended with {process.returncode}; its last input is {', '.join(map(str, left)) or 'lost'}",
              file=sys.stderr)
    return Counter(lines[-1] if lines else {}), process.returncode == 0


def describe(counts: Counter[str]) -> str:
    """"1,200 inputs (300 read, 900 refused)"."""
    return f"{counts.total():,} inputs ({', '.join(f'{number:,} {kind}' for kind, number in sorted(counts.items()))})"


if __name__ == "__main__":
    sys.exit(main())
