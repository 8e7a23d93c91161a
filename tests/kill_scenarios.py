"""Verbs on tiny inputs for campaigns of kills, and what each leaves behind but for times and places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faulty_codecs
import torch
from PIL import Image
from safetensors import safe_open
from tiny_models import picture

from tests import latency_samples
from tests.test_judgement import BASE, VARIANT, store_rates

OPTIONS = ("{M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1],"
           " head_width: 8}")
VARIANTS = f"""
variants:
  hpcm_base: {{model: hpcm_base, lambdas: [0.01], checkpoints: made/base, options: {OPTIONS}}}
  hpcm_base_mini: {{model: hpcm_base, miniature: true, lambdas: [0.01, 0.02], checkpoints: made/mini,
    options: {OPTIONS}}}
  rwkv_phase1: {{model: hpcm_base, recipe: balanced_phase1, lambdas: [0.01], options: {OPTIONS}}}
"""
CLAIMS = f"""
claims:
  saves: {{variant: {VARIANT}, versus: {BASE}, metric: bd_rate, change_percent: [-5, -3], kind: predicted,
    source: README}}
  slower: {{variant: {VARIANT}, versus: {BASE}, metric: total_time, change_percent: [20, 40], kind: predicted,
    source: README}}
"""
# Of rows, logs, records and states: what is another in each run.
VARYING = {
    "code_version", "decode_s", "elapsed_s", "encode_s", "first_s", "measured_at", "minutes", "peak_rss_bytes", "place",
    "provenance", "rss_bytes", "samples_s", "session", "stage_totals_s", "stages_s", "state", "warm_because",
    "warmup_s",
}
RESULTS = ("made", "reports", "results", "runs")  # folders of them
OF_A_RUN = {"cache", "claim", "journal", "journal-claim", "lock", "tensorboard", ".claims"}


@dataclass(frozen=True)
class Scenario:
    """A verb with its arguments; ``prepare`` puts into a folder what it starts from."""

    verb: str
    arguments: str
    prepare: Callable[[Path], None] = lambda folder: None

    def command(self, folder: Path) -> list[str]:
        return [self.verb, *(part.replace("@", str(folder)) for part in self.arguments.split())]


def environment(folder: Path) -> dict[str, str]:
    """Where a run in ``folder`` finds and puts everything."""
    return faulty_codecs.environment(
        BENCH_VARIANTS=str(folder / "variants.yaml"), BENCH_CLAIMS=str(folder / "claims.yaml"),
        BENCH_RESULTS=str(folder / "results"), BENCH_RUNS=str(folder / "runs"), BENCH_REPORTS=str(folder / "reports"),
        TMPDIR=str(folder / "tmp"), OMP_NUM_THREADS="1", DEFLATE_DELAY_S="0.03")


def write_inputs(folder: Path) -> None:
    """Write what every scenario may read."""
    (folder / "tmp").mkdir(parents=True)
    (folder / "variants.yaml").write_text(VARIANTS)
    (folder / "claims.yaml").write_text(CLAIMS)
    faulty_codecs.write_images(folder / "pictures", [(60 + number, 50) for number in range(6)])
    write_photographs(folder, 96, 80)


def write_photographs(folder: Path, width: int, height: int) -> None:
    """Write what is trained on; the crops of miniatures have 256 pixels a side."""
    (folder / "photographs").mkdir(exist_ok=True)
    for seed in range(3):
        Image.fromarray(picture(width, height, seed)).save(folder / "photographs" / f"{seed}.png")


def store_rows(folder: Path) -> None:
    """Rows of two codecs, of whom a claim holds."""
    results = folder / "results"
    store_rates(results, BASE)
    store_rates(results, VARIANT, -4)
    latency_samples.store(results, [*latency_samples.both(BASE), *latency_samples.both(VARIANT, 0.13, 0.26)])


TRAINING = "--data @/photographs --validation @/photographs --cache @/cache"
SHORT = f"{TRAINING} --batch 1 --crop 64 --threads 1 --device cpu"
SCENARIOS = (
    Scenario("evaluate", "--dataset @/pictures --codecs deflate --results @/results --jobs 2"),
    Scenario("profile", "hpcm_base --shapes 64x64 --repeats 3 --budget 1 --resume --no-report --device cpu"
             " --threads 1 --results @/results"),
    Scenario("train", f"--variant hpcm_base --lambda 0.01 --steps 12 --save-every 2 --keep-best 2 {SHORT}"),
    Scenario("search", "--variant rwkv_phase1 --gamma 0.001 0.01 --weight-rate 0.025 --steps 6 --validate-every 2"
             f" --out @/runs/search {SHORT}"),
    Scenario("miniatures", f"--only hpcm_base_mini --steps 6 4 --processes 1 --device cpu {TRAINING}",
             lambda folder: write_photographs(folder, 256, 264)),
    Scenario("report", "--results @/results --reports @/reports", store_rows),
    Scenario("claims", "--accept --results @/results --reports @/reports", store_rows),
)


def collect_results(folder: Path) -> dict[str, Any]:
    """Return what is in each file that a run left, but for what varies."""
    paths = [path for name in RESULTS for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): _read(path, folder) for path in sorted(paths)
            if not set(path.relative_to(folder).parts) & OF_A_RUN
            and path.suffix not in (".txt", ".new")}  # what trainings print; empty files that go after a minute


def _read(path: Path, folder: Path) -> Any:
    if path.suffix == ".pt":
        return _simplify(torch.load(path, weights_only=True), folder)
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            notes = {name: json.loads(text) if text[:1] == "{" else text for name, text in file.metadata().items()}
            return _simplify([notes, {name: file.get_tensor(name) for name in file.keys()}], folder)
    if path.suffix == ".jsonl":
        lines = [_simplify(json.loads(line), folder) for line in path.read_text().splitlines()]
        is_log = "runs" in path.parts or "training" in path.parts
        return lines if is_log else sorted(lines, key=str)  # of several rows at once any may be the first
    if path.name in ("pictures.json", "trial.json"):
        return _simplify(json.loads(path.read_text()), folder)
    return hashlib.sha256(path.read_bytes().replace(str(folder).encode(), b"")).hexdigest()


def _simplify(value: Any, folder: Path) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        return {str(key): _simplify(entry, folder) for key, entry in value.items() if key not in VARYING}
    if isinstance(value, (list, tuple)):
        return [_simplify(entry, folder) for entry in value]
    return value.replace(str(folder), "") if isinstance(value, str) else value


def find_leftovers(folder: Path) -> set[str]:
    """Return temporary files and folders in a run's folder; torch keeps one of its own."""
    files = [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".lock"))]
    return {str(path.relative_to(folder)) for path in [*(folder / "tmp").iterdir(), *files]}
