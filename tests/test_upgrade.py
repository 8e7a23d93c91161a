"""An upgrade of the suite: results of schema 1 give the same reports and the same state of claims as migrated ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from page_samples import build
from test_claims_command import results  # noqa: F401  (a fixture)

from bench.claims.state import STATE_FILES, CurveState
from bench.cli import main
from bench.common.errors import EXIT_DONE
from bench.reports.page.written import MANIFEST
from bench.results.latency_rows import LatencyRow
from bench.results.rows import Row
from bench.results.schema import StoredRow
from bench.results.store import read_rows

QUALITIES = {"psnr": "psnr_rgb_db", "psnr-y": "psnr_y_db", "psnr-cb": "psnr_cb_db", "psnr-cr": "psnr_cr_db",
             "ms-ssim": "ms_ssim"}


def as_schema1(row: StoredRow) -> dict:
    """The line that an earlier version would have stored; learned rows then knew their machine by their identity."""
    values = {**json.loads(row.to_json()), "schema": 1}
    if isinstance(row, (Row, LatencyRow)):
        values["machine"] = values.pop("provenance", {})
    if isinstance(row, Row):
        values |= {QUALITIES[name]: value for name, value in values.pop("quality", {}).items()}
        values |= {"ms_ssim_db": row.curve_quality("ms-ssim"), "ms_ssim_reason": None, "bpp_y": None}
        values.pop("quality_missing", None)
        values.pop("quality_versions", None)
        values["identity"] = {"name": row.name, "point": row.point, "device": "cpu: earlier",
                              "operators": "biwkv C++ 0", "codec": "learned",
                              "codec_version": "torch 2.11.0, compressai 1.2.8 rANS"}
    if isinstance(row, CurveState):
        quality = values.pop("quality")
        values |= {"psnr_rgb_db": quality["psnr"], "ms_ssim_db": quality.get("ms-ssim")}
    if type(row) in STATE_FILES.values():
        del values["schema"]
    return values


@pytest.fixture
def old(results: Path) -> Path:  # noqa: F811
    """Accepted results as an earlier version left them."""
    assert main(["claims", "--accept", "--no-report", "--results", str(results)]) == EXIT_DONE
    for path in results.glob("**/*.jsonl"):
        kind: type[StoredRow] = STATE_FILES.get(path.stem) if path.parent.name == "baseline" else (
            LatencyRow if path.parent.parent.name == "latency" else Row)
        lines = [json.dumps(as_schema1(row)) for row in read_rows(path, kind)]
        path.write_text("".join(line + "\n" for line in lines))
    return results


def test_nothing_vanishes_and_nothing_changes(old: Path, capsys: pytest.CaptureFixture) -> None:
    for _ in range(2):
        capsys.readouterr()
        assert main(["claims", "--no-report", "--results", str(old)]) == EXIT_DONE
        shown = capsys.readouterr().out
        assert "WORSE" not in shown and "row vanished of" not in shown
        assert main(["results", "migrate", "--results", str(old)]) == EXIT_DONE


@pytest.mark.usefixtures("undrawn")
def test_migrated_rows_give_the_same_reports(old: Path, tmp_path: Path) -> None:
    def contents(folder: str) -> dict[str, bytes]:
        reports = tmp_path / folder
        for kind in ("rate", "latency", "claims"):
            build(kind, old, reports)
        return {str(path.relative_to(reports)): path.read_bytes() for path in reports.rglob("*")
                if path.is_file() and path.name != MANIFEST}  # which has a digest of the rows' bytes

    before = contents("before")
    assert main(["results", "migrate", "--results", str(old)]) == EXIT_DONE
    assert len(before) > 10 and contents("after") == before
