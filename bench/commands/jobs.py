"""Lists, merges and cancels what runs on a cluster."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.common.text import align_columns, suggest_name
from bench.results.store import Store
from bench.runners.engines.merge import list_runs, merge_abandoned
from bench.runners.engines.registry import ENGINES
from bench.runners.engines.run_folder import RunFolder


def run(args: argparse.Namespace) -> int:
    """Carry out one action; return the exit status."""
    if args.action == "list":
        return _list_runs(args.results)
    if args.action == "cancel":
        _cancel(args.results, args.run)
    for text in merge_abandoned(Store(args.results)):
        print(text)
    return EXIT_DONE


def _list_runs(results: Path) -> int:
    table = [("run", "engine", "dataset", "begun", "batches left", "jobs that live", "command")]
    for state in list_runs(results):
        run = state.folder.run
        alive = "not known" if state.alive is None else str(state.alive)
        table.append((run.name, run.setup.name, run.dataset, run.begun_at, str(len(state.batches)), alive,
                      "goes on" if state.has_driver else "has ended"))
    print("\n".join(align_columns(table)) if len(table) > 1 else f"no run has jobs below {results}")
    return EXIT_DONE


def _cancel(results: Path, name: str) -> None:
    """End the jobs of a run without its command.

    Raises:
        ConfigurationError: there is no such run, or its command goes on.
        BenchError: the cluster does not end them.
    """
    folders = {folder.run.name: folder for folder in RunFolder.list_all(results)}
    if name not in folders:
        raise ConfigurationError(f"there is no run '{name}'", suggest_name(name, folders))
    folder = folders[name]
    lock = folder.lock()
    if lock is None:
        raise ConfigurationError(f"the command that drives {name} goes on", "end that one: it cancels its jobs")
    entry = ENGINES.get(folder.run.setup.engine)
    assert entry is not None
    entry.cancel_run(folder)
