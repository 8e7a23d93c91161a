"""Rows of schema 1, as earlier versions stored them: read, migrated, nothing lost, counted on any machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.claims.state import STATE_FILES
from bench.cli import main
from bench.codecs.base import CodecSpec
from bench.common.hashing import digest_json
from bench.results.latency_rows import LatencyRow
from bench.results.rows import Row, row_key
from bench.results.store import read_rows

SCHEMA1 = Path(__file__).parent / "schema1"
ROWS = [json.loads(line) for line in (SCHEMA1 / "rows.jsonl").read_text().splitlines()]
WHERE = ("device", "operators", "codec_version")  # of a learned row's old identity: where it was made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for name in ("kodak", "latency/cpu", "baseline"):
        (folder / name).mkdir(parents=True)
    for row in ROWS:
        (folder / "kodak" / f"{row['name']}.jsonl").write_text(json.dumps(row) + "\n")
    shutil.copy(SCHEMA1 / "latency.jsonl", folder / "latency" / "cpu" / "hpcm_base.jsonl")
    for name in STATE_FILES:
        shutil.copy(SCHEMA1 / f"{name}.jsonl", folder / "baseline")
    return folder


@pytest.mark.parametrize("old", ROWS, ids=[row["name"] for row in ROWS])
def test_every_value_of_an_old_row_is_told_by_the_new_one(old: dict) -> None:
    row = Row.from_json(json.dumps(old))
    qualities = {"psnr_rgb_db": "psnr", "psnr_y_db": "psnr-y", "psnr_cb_db": "psnr-cb", "psnr_cr_db": "psnr-cr",
                 "ms_ssim": "ms-ssim"}
    for field, value in old.items():
        if field in ("key", "series", "schema", "identity", "machine"):
            continue
        if field in qualities:
            assert row.quality[qualities[field]] == value
        elif field == "ms_ssim_db":
            assert row.curve_quality("ms-ssim") == value
        elif field in ("bpp_y", "bpp_z", "bpp_header"):
            assert row.bpp_of(field.removeprefix("bpp_")) == value
        elif field == "ms_ssim_reason":
            assert value is None
        elif isinstance(value, list):
            assert list(getattr(row, field)) == value
        else:
            assert getattr(row, field) == value, field

    for field, value in old["machine"].items():
        assert getattr(row.provenance, field) == value
    if old["codec"] == "learned":
        assert row.provenance.operators == old["identity"].get("operators")
        assert old["identity"]["codec_version"].endswith(row.identity["coder"])
        assert row.provenance.libraries["torch"] in old["identity"]["codec_version"]
        assert row.identity == {name: value for name, value in old["identity"].items() if name not in WHERE} | {
            "coder": row.identity["coder"]}
    else:
        assert row.identity == old["identity"]


@pytest.mark.parametrize("old", ROWS, ids=[row["name"] for row in ROWS])
def test_keys_hold_what_decides_a_result_alone(old: dict) -> None:
    elsewhere = json.loads(json.dumps(old))
    elsewhere["machine"]["device"] = "cpu: another"
    if old["codec"] == "learned":
        elsewhere["identity"]["device"] = "cpu: another"
        elsewhere["identity"]["codec_version"] = elsewhere["identity"]["codec_version"].replace("2.11.0", "2.12.0")
    here, there = (Row.from_json(json.dumps(one)) for one in (old, elsewhere))

    assert here.key == there.key and here.series == digest_json(here.identity)
    assert here.key == row_key(here.series, here.dataset, here.image, here.image_sha256)
    assert here.provenance != there.provenance


@pytest.mark.parametrize("name", [row["name"] for row in ROWS if row["codec"] == "learned"])
def test_the_suites_own_identity_is_that_of_a_migrated_row(name: str) -> None:
    from bench.codecs.learned import list_specs, load_learned
    from bench.runners.evaluate.unit import identify

    row = next(Row.from_json(json.dumps(one)) for one in ROWS if one["name"] == name)
    spec: CodecSpec = next(one for one in list_specs(load_learned()[name]) if one.point == row.point)
    series = identify(spec)
    as_stored = {**series.values, "revision": row.identity["revision"]}  # which a change of streams raises
    assert as_stored == row.identity and digest_json(as_stored) == row.series


def test_migrate_writes_todays_rows_once(results: Path, capsys: pytest.CaptureFixture) -> None:
    files = sorted(results.glob("**/*.jsonl"))
    kinds = {"latency": LatencyRow, "kodak": Row}
    before = {path: read_rows(path, kinds.get(path.parts[-3], Row) if path.parts[-2] == "cpu" else
                              STATE_FILES.get(path.stem, Row)) for path in files}

    assert main(["results", "migrate", "--results", str(results)]) == 0
    assert f"{len(files)} of {len(files)} files changed" in capsys.readouterr().out
    assert all(json.loads(line)["schema"] == 2 for path in files for line in path.read_text().splitlines())
    for path, rows in before.items():
        after = read_rows(path, type(rows[0]))
        assert [_without_pixels(row) for row in after] == rows

    texts = {path: path.read_bytes() for path in files}
    assert main(["results", "migrate", "--results", str(results)]) == 0
    assert "0 of" in capsys.readouterr().out and texts == {path: path.read_bytes() for path in files}


def _without_pixels(row: object) -> object:
    from msgspec.structs import replace

    return replace(row, pixels_sha256=None) if isinstance(row, Row) else row


def test_a_schema_that_is_older_or_newer_is_named() -> None:
    for schema, said in ((0, "schema 0 is not read"), (3, "schema 3 is newer")):
        with pytest.raises(ValueError, match=said):
            Row.from_json(json.dumps({**ROWS[0], "schema": schema}))
