"""The latency report as files and through the verb: formats, the same bytes, folders, no torch."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from latency_reports import ROWS, stored
from latency_samples import both, store
from page_samples import build

from bench.cli import main
from bench.common.errors import BenchError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("latency")
    results = store(root / "results", ROWS)
    paths = build("latency", results, root / "reports")
    assert paths[0] == root / "reports" / "latency" / "cpu-test" / "README.md"
    return paths[0].parent


class TestFiles:
    def test_every_table_in_three_formats_and_every_figure_in_one(self, folder):
        names = {path.stem for path in (folder / "tables").glob("*.csv")}
        assert names >= {"latency", "timings", "stages", "stage_values", "memory", "memory_slope", "complexity",
                         "configurations", "claims", "failures", "sessions", "earlier"}
        assert all((folder / "tables" / f"{name}{kind}").stat().st_size for name in names for kind in (".md", ".tex"))
        figures = {path.name for path in (folder / "figures").iterdir()}
        assert figures == {"stages.png", "rate_against_time.png"}

    def test_same_rows_same_bytes(self, folder, tmp_path):
        build("latency", folder.parents[2] / "results", tmp_path)
        again = tmp_path / "latency" / folder.name

        def digests(root: Path) -> dict:
            return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
                    for path in root.rglob("*") if path.is_file()}
        assert digests(folder) == digests(again)

    def test_csv_holds_the_numbers(self, folder):
        with (folder / "tables" / "timings.csv").open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if line["variant"] == "HPCM-Base"
                     and line["direction"] == "decode" and line["configuration"] == "default"]
        median = 1000 * np.median(stored("hpcm_base", "decode").samples_s)
        assert float(lines[0]["median_ms"]) == pytest.approx(median, abs=1e-6)
        assert lines[0]["device"].startswith("cpu: Test")

    def test_the_page_shows_the_figures_beside_it_and_needs_nothing_else(self, folder):
        page = (folder / "index.html").read_text(encoding="utf-8")
        shown = re.findall(r'src="([^"]+)"', page)
        assert shown == ["figures/stages.png", "figures/rate_against_time.png"]
        assert all((folder / name).is_file() for name in [*shown, *re.findall(r'href="(?!https?://)([^"]+)"', page)]
                   if not name.endswith("/"))

    def test_no_rows_at_all(self, tmp_path):
        with pytest.raises(BenchError, match="holds nothing for a report of latency"):
            build("latency", tmp_path, tmp_path)

    @pytest.mark.usefixtures("undrawn")
    def test_every_device_gets_a_folder(self, tmp_path):
        results = store(tmp_path / "results", both("hpcm_base"))
        store(results, both("hpcm_base", device="cuda: X"), device="cuda-x")
        build("latency", results, tmp_path / "reports")
        assert sorted(path.name for path in (tmp_path / "reports" / "latency").iterdir()) == ["cpu-test", "cuda-x"]


class TestVerb:
    @pytest.mark.usefixtures("undrawn")
    def test_report_rebuilds_latency_too(self, tmp_path, capsys):
        results = store(tmp_path / "results", both("hpcm_base"))
        assert main(["report", "--results", str(results), "--reports", str(tmp_path / "reports")]) == 0
        assert (tmp_path / "reports" / "latency" / "cpu-test" / "index.html").is_file()
        assert "HPCM-Base" in capsys.readouterr().out

    def test_it_needs_no_torch(self, tmp_path):
        results = store(tmp_path / "results", both("hpcm_base") + both("rwkv_phase1"))
        script = ("import sys; from bench.cli import main; "
                  f"main(['report', '--results', {str(results)!r}, '--reports', {str(tmp_path)!r}]); "
                  "sys.exit('torch' in sys.modules)")
        assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120).returncode == 0

    @pytest.mark.usefixtures("undrawn")
    def test_the_committed_report_of_kodak_is_what_its_rows_give(self, tmp_path):
        """But for PNG files, whose compression may differ between machines."""
        build("rate", ROOT / "results", tmp_path, "kodak")
        for name in ("README.md", "index.html"):
            assert (tmp_path / "kodak" / name).read_bytes() == (ROOT / "reports" / "kodak" / name).read_bytes(), name
