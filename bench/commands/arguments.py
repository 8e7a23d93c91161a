"""What several verbs accept on the command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench.common.folders import default_folder

if TYPE_CHECKING:  # what is not needed to say what a verb accepts is imported where it is used, so that --help is quick
    from bench.results.stored import StoredResults

Group = argparse._ActionsContainer  # a parser, or a group of its options


def split_names(text: str) -> list[str]:
    """"a, b" as ["a", "b"]."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def parse_jobs(text: str) -> int | None:
    """A number of units at a time; None for "auto"."""
    return None if text == "auto" else parse_positive(text)


def parse_metric(text: str) -> str:
    """The name of a quality metric."""
    from bench.metrics.quality import METRICS

    METRICS.get(text)  # raises where there is none
    return text


def parse_metrics(text: str) -> tuple[str, ...]:
    """Names of quality metrics that can be computed here, or all of them."""
    from bench.metrics.quality import available_metrics, choose_metrics

    return available_metrics() if text == "all" else choose_metrics(split_names(text))


def parse_lambda(text: str) -> float:
    """A positive number."""
    from bench.variants import parse_lambda

    return parse_lambda(text)


def add_results_argument(group: Group) -> None:
    """Where stored rows are."""
    group.add_argument("--results", type=Path, default=default_folder("results"), metavar="FOLDER",
                       help="stored rows (default: BENCH_RESULTS, else results/)")


def add_folder_arguments(group: Group) -> None:
    """Where stored rows are, and where reports go."""
    add_results_argument(group)
    group.add_argument("--reports", type=Path, default=default_folder("reports"), metavar="FOLDER",
                       help="reports (default: BENCH_REPORTS, else reports/)")


def add_strict_argument(group: Group) -> None:
    """Which stored rows count."""
    group.add_argument("--strict", action="store_true",
                       help="count only rows that were made on this machine (default: wherever they were made)")


def open_results(args: argparse.Namespace) -> StoredResults:
    """The rows that count, by the options of :func:`add_results_argument` and :func:`add_strict_argument`."""
    from bench.results.machines import find_machine
    from bench.results.stored import StoredResults

    return StoredResults(args.results, find_machine() if args.strict else None)


def add_device_argument(group: Group) -> None:
    """The device that learned codecs run on."""
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                       help="for learned codecs (default: a GPU where there is one)")


def add_torch_arguments(group: Group) -> None:
    """How torch runs: device, threads, algorithms."""
    add_device_argument(group)
    group.add_argument("--threads", type=parse_positive, metavar="N",
                       help="torch's threads, where codecs run and decode (default: torch's own)")
    group.add_argument("--deterministic", action=argparse.BooleanOptionalAction, default=True,
                       help="ask torch for deterministic algorithms (default: yes)")


def add_shared_machine_argument(group: Group) -> None:
    """Whether to time on a part of a machine."""
    group.add_argument("--shared-machine", action="store_true", default=bool(os.environ.get("BENCH_SHARED_MACHINE")),
                       help="time though this process is niced or has fewer CPUs than the machine; rows say so")


def add_weights_arguments(group: Group, required: bool) -> None:
    """The weights that single files are coded with; where they are not required a file may say which."""
    group.add_argument("--variant", required=required, metavar="NAME",
                       help="a variant of variants.yaml" + ("" if required else ", for a file that does not say"))
    group.add_argument("--lambda", dest="lambda_", type=parse_lambda, metavar="λ",
                       help="its rate point (default: by the name of --checkpoint)")
    group.add_argument("--checkpoint", metavar="FILE", help="weights of your own (default: where variants.yaml says)")
    group.add_argument("--exact", action="store_true",
                       help="in the exact configuration, whose latents other machines decode alike (docs/exact.md)"
                            + ("" if required else ", for a file that does not say"))


def add_output_arguments(group: Group, metavar: str, what: str) -> None:
    """Where a single file goes."""
    group.add_argument("-o", "--output", required=True, metavar=metavar,
                       help=f"{what}, or - for standard output; messages then go to standard error")
    group.add_argument("--force", action="store_true", help="replace a file that is there")


def add_engine_arguments(group: Group) -> None:
    """Where units run."""
    group.add_argument("--engine", default="local", metavar="NAME",
                       help="local, slurm, ray, or a set-up of engines.yaml (docs/cluster.md; default: local)")
    group.add_argument("--slots", type=parse_positive, metavar="N",
                       help="jobs at a time (default: as many as the cluster starts; --jobs on this machine)")
    group.add_argument("--batch-s", type=float, metavar="S",
                       help="how long a job should take, in seconds (default: 600 with Slurm, 30 with Ray)")
    group.add_argument("--retries", type=int, metavar="N",
                       help="how often a batch is tried again whose job or node was lost (default: 2)")
    group.add_argument("--detach", action="store_true",
                       help="submit the jobs and end; `python -m bench jobs` shows them, later runs merge their rows")
    group.add_argument("--gpus", type=int, metavar="N", help="GPUs of a job (default: what the cluster gives)")
    group.add_argument("--cpus", type=parse_positive, metavar="N", help="CPUs of a job")
    group.add_argument("--mem", dest="mem_gb", type=float, metavar="GB", help="memory of a job")
    group.add_argument("--exclusive", action="store_true", default=None, help="a whole machine for each job")
    group.add_argument("--partition", metavar="NAME", help="of Slurm")
    group.add_argument("--account", metavar="NAME", help="of Slurm")
    group.add_argument("--time", dest="time_min", type=parse_positive, metavar="MINUTES",
                       help="when Slurm ends a job (default: three times --batch-s and 15 minutes)")
    group.add_argument("--setup", action="append", metavar="LINE",
                       help="a command before a job of Slurm starts, such as 'module load cuda'; may stand often")
    group.add_argument("--option", dest="options", action="append", type=parse_option, metavar="KEY=VALUE",
                       help="any other option of sbatch, such as qos=short; may stand often")
    group.add_argument("--address", metavar="HOST:PORT", help="of Ray (default: RAY_ADDRESS, else this machine alone)")


def parse_option(text: str) -> tuple[str, str | bool]:
    """"qos=short" as ("qos", "short"), "overcommit" as ("overcommit", True)."""
    key, separator, value = text.partition("=")
    return key.lstrip("-"), value if separator else True
