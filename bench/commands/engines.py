"""Which engine a verb runs its units on, by its options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from bench.common.errors import ConfigurationError
from bench.results.store import Store
from bench.runners.engines.batches import keep_images
from bench.runners.engines.engine import Engine
from bench.runners.engines.local import LocalEngine
from bench.runners.engines.merge import list_keys_in_work
from bench.runners.engines.registry import open_cluster
from bench.runners.engines.setup import LOCAL, Setup, choose_setup
from bench.runners.evaluate.plan import EvaluationPlan
from bench.runners.machine import resolve_device
from bench.runners.nodes.worker import describe_worker, digest_code, refuse_other_worker

_KEYS = ("slots", "batch_s", "retries", "gpus", "cpus", "mem_gb", "exclusive", "partition", "account", "time_min",
         "setup", "address")


def choose_engine(args: argparse.Namespace) -> Setup:
    """The set-up that the options name, with what they say beside it.

    Raises:
        ConfigurationError: there is none, or options don't go together.
    """
    given = {key: getattr(args, key) for key in _KEYS}
    given["options"] = dict(args.options) if args.options else None
    setup = choose_setup(args.engine, given)
    if setup.engine == LOCAL and args.detach:
        raise ConfigurationError("--detach is for a cluster", "name it by --engine")
    if setup.engine != LOCAL and args.jobs not in (None, 1):
        raise ConfigurationError("--jobs is for this machine; a job of a cluster measures one unit at a time",
                                 "--slots says how many jobs there are at a time")
    return setup


def choose_device(wanted: str, setup: Setup) -> str:
    """The device that learned codecs run on, of this machine or of those of the cluster.

    Raises:
        ConfigurationError: there is no such device on this machine.
    """
    if setup.engine == LOCAL:
        return resolve_device(wanted)
    if wanted != "auto":
        return wanted
    return "cuda" if setup.gpus else "cpu"


def leave_to_jobs(plan: EvaluationPlan, results: Path, setup: Setup) -> EvaluationPlan:
    """Leave out of a plan what jobs of runs without a driver still measure; say so.

    The plan also learns how many units run at a time.
    """
    jobs = plan.jobs if setup.engine == LOCAL and setup.slots is None else setup.slots or 1
    plan = replace(plan, jobs=jobs)
    keys = list_keys_in_work(results)
    if not keys:
        return plan

    units = []
    for planned in plan.units:
        left = [image.name for image in planned.unit.images if planned.keys[image.name] not in keys]
        units.append(replace(planned, unit=keep_images(planned.unit, left), expected=planned.expected.narrow(left)))
    narrowed = replace(plan, units=tuple(units))
    if images := plan.images_to_run - narrowed.images_to_run:
        print(f"{images} images are left to jobs that were submitted before (python -m bench jobs)", flush=True)
    return narrowed


@contextmanager
def open_engine(args: argparse.Namespace, plan: EvaluationPlan, store: Store) -> Iterator[Engine]:
    """The engine that runs a plan; one with a cluster first asks a worker what it is, and all must be the same.

    Raises:
        BenchError: it can't be used, no worker answers, or one has other code than this machine.
    """
    setup = choose_engine(args)
    if setup.engine == LOCAL:
        yield LocalEngine(plan.jobs)
        return
    with open_cluster(setup, store.root, plan.dataset.name, args.detach) as engine:
        print(f"asking a worker what it is, by a job called {engine.folder.run.name}", flush=True)
        worker, fault = engine.cluster.ask(describe_worker, plan.pending[0].unit.device)
        if worker is None:
            raise ConfigurationError(f"a worker says: {fault}")
        engine.expected = structs.replace(worker.expectation, code_sha256=digest_code())
        refuse_other_worker(engine.expected, worker)
        print(f"workers: {worker.expectation.device}, {worker.cpus} CPUs", flush=True)
        yield engine
        if args.detach:
            print(f"submitted: python -m bench jobs shows the jobs of {engine.folder.run.name}, merges what they have "
                  "measured, and cancels them")
