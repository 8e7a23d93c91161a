"""Latency rows made by hand, with values that are easy to compute with."""

from __future__ import annotations

from pathlib import Path

from bench.common.hashing import digest_json
from bench.results.latency_rows import LatencyRow
from bench.results.rows import OK, Provenance

DEVICE = "cpu: Test <CPU> & Co_1"
LABELS = {"hpcm_base": "HPCM-Base", "hpcm_large": "HPCM-Large", "rwkv_phase1": "RWKV-1", "hpcm_base_mini": "Mini"}
LINES = {"rwkv_phase1": "RWKV"}
FACTORS = (1.0, 1.01, 0.99, 1.02, 0.98, 1.03, 0.97, 1.05, 1.0, 1.1)  # of the rounds, the same for all variants


def row(name: str, direction: str, median_s: float = 0.1, *, shape=(768, 512), session="s1", rounds=FACTORS,
        configuration="default", measured_at="2026-01-01T00:00:00+00:00", **values) -> LatencyRow:
    """One measurement whose median is ``median_s`` times that of ``rounds``."""
    identity = {"variant": name, "direction": direction, "shape": list(shape), "configuration": configuration,
                "coder": "rANS", "image": "photograph", "threads": 2, "deterministic": True,
                "batch": values.get("batch", 1)}
    measured = values.get("status", OK) == OK
    pixels = shape[0] * shape[1] * values.get("batch", 1)
    defaults = {
        "status": OK, "label": LABELS.get(name, name), "line": LINES.get(name, "HPCM"), "device": DEVICE,
        "provenance": Provenance(device=DEVICE, cpus=4, threads=2, deterministic=True, system="Linux x86_64",
                                 python="3.12.1", libraries={"torch": "2.11.0", "compressai": "1.2.8"}),
        "code_version": "0.1+abc", "identity": identity,
    }
    if measured:
        defaults |= {
            "samples_s": tuple(median_s * factor for factor in rounds), "warmup_s": (2 * median_s, median_s),
            "first_s": 5 * median_s, "bpp": 0.5, "decode_matches": True,
            "stages_s": {"context s3": (0.5 * median_s,) * 3, "entropy coding": (0.1 * median_s,) * 3,
                         "rest": (0.4 * median_s,) * 3},
            "stage_calls": {"context s3": 1, "entropy coding": 12}, "stage_totals_s": (median_s,) * 3,
            "peak_alloc_bytes": 300_000_000 + 1000 * pixels, "weights_bytes": 274_000_000,
            "stage_peak_alloc_bytes": {"context s3": 280_000_000, "rest": 300_000_000},
            "rss_bytes": 2_000_000_000, "peak_rss_bytes": 2_500_000_000, "parameters": 68_505_299,
            "unused_parameters": 0, "macs": 500_000 * pixels, "uncounted": ("aten.softmax",),
            "state": {"before": {"load_1min": 0.5, "governor": "performance", "cpu_mhz": 3000},
                      "other_busy_cores": 0.1, "warnings": []},
        }
    return LatencyRow(key=digest_json(identity), session=session, name=name, direction=direction, width=shape[0],
                      height=shape[1], configuration=configuration, measured_at=measured_at, **{**defaults, **values})


def both(name: str, encode_s: float = 0.1, decode_s: float = 0.2, **values) -> list[LatencyRow]:
    """Both directions."""
    return [row(name, "encode", encode_s, **values), row(name, "decode", decode_s, **values)]


def store(results: Path, rows: list[LatencyRow], device: str = "cpu-test") -> Path:
    """Append ``rows`` to files as the suite does, and return the folder of results."""
    folder = results / "latency" / device
    folder.mkdir(parents=True, exist_ok=True)
    for one in rows:
        with (folder / f"{one.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(one.to_json() + "\n")
    return results
