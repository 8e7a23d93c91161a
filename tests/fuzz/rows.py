"""Stored lines of every kind: image rows, latency rows, crosschecks, reproductions, the accepted state, logs."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
from crosscheck_samples import OUTCOMES, make_row
from fuzz.damage import damaged
from fuzz.json_values import respelled, wrong_texts
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st

from bench.claims.state import STATE_FILES
from bench.common.errors import BenchError
from bench.results.crosschecks import Crosscheck
from bench.results.latency_rows import LatencyRow
from bench.results.reproductions import Reproduction
from bench.results.rows import Row
from bench.results.schema import StoredRow
from bench.results.store import read_rows
from bench.results.training_logs import TrainingLog, read_log
from bench.results.upkeep import prune_file

SCHEMA1 = Path(__file__).parents[1] / "schema1"
LOG = "log"
KINDS: dict[str, type[StoredRow]] = {"rows": Row, "latency": LatencyRow, **STATE_FILES, "crosschecks": Crosscheck,
                                     "reproductions": Reproduction}
OLD = [(name, json.loads(line)) for name in KINDS if (SCHEMA1 / f"{name}.jsonl").exists()
       for line in (SCHEMA1 / f"{name}.jsonl").read_text().splitlines()]
KEYED = (Row, LatencyRow, Crosscheck, Reproduction)  # that are tidied
REPRODUCED = Reproduction(key="a", dataset="kodak", image="1.png", name="jpeg", label="JPEG", point="q5",
                          outcome="differs", same_bytes=False, bits_percent=-0.25, quality_db={"psnr": 0.125})
NEW: list[tuple[str, StoredRow]] = [*((name, KINDS[name].from_json(json.dumps(values))) for name, values in OLD),
                                    *(("crosschecks", make_row(outcome)) for outcome in OUTCOMES),
                                    ("reproductions", REPRODUCED)]
SAMPLES: list[tuple[str, Any]] = OLD + [(name, json.loads(row.to_json())) for name, row in NEW]
LOGGED: list[Any] = [
    {"kind": "recipe", "job": {"model": "hpcm_base", "lambda_": 0.0067, "metric": "mse", "seed": 0,
                               "recipe": {"batch": 2, "learning_rate": 0.002, "modulation": [0.5, 1]}},
     "origin": {"start": "λ 0.013"}, "images": 408},
    {"kind": "step", "step": 50, "loss": 1.02132, "elapsed_s": 7.5, "skipped": 0, "weights": {"rate": 0.25},
     "tasks": {"rate": None}},
    {"kind": "validation", "step": 60, "loss": 1.67499, "bpp": 0.703009, "psnr_db": 27.9663},
]


@st.composite
def stored_files(draw: st.DrawFn) -> Trial:
    """Three lines of one kind, the second with mistakes, spelled in another way, or torn at the end."""
    name, values = draw(st.sampled_from(SAMPLES))
    whole = json.dumps(next(known for kind, known in SAMPLES if kind == name)).encode()
    kept = plain(KINDS[name].from_json(whole))
    here = plain(KINDS[name].from_json(json.dumps(values)))
    case = draw(st.sampled_from(["values", "values", "values", "bytes", "spelling", "torn"]))
    if case == "torn":
        line = json.dumps(values).encode()
        torn = line[: draw(st.integers(1, len(line) - 1))]
        return Trial({f"{name}.jsonl": whole + b"\n" + torn}, [kept], refusable=False)

    line, expected = {
        "values": (wrong_texts(values).map(str.encode), None),
        "bytes": (damaged(json.dumps(values).encode()), None),
        "spelling": (respelled(values).map(str.encode), [kept, here, kept]),
    }[case]
    content = b"\n".join((whole, draw(line), whole, b""))
    return Trial({f"{name}.jsonl": content}, expected, refusable=expected is None)


@st.composite
def logs(draw: st.DrawFn) -> Trial:
    """A log of a training with mistakes in one line."""
    lines = [json.dumps(line).encode() for line in LOGGED]
    place = draw(st.integers(0, len(lines) - 1))
    case = draw(st.sampled_from([wrong_texts(LOGGED[place]).map(str.encode), damaged(lines[place])]))
    lines[place] = draw(case)
    return Trial({f"{LOG}.jsonl": b"\n".join((*lines, b""))})


def read(path: Path) -> Any:
    """Read a file of rows, or of a log, and check what holds of whatever is read."""
    if path.stem == LOG:
        return check_log(read_log(path))
    kind = KINDS[path.stem]
    for line in path.read_bytes().split(b"\n"):
        require_one_reading(kind, line)

    require_upkeep(path, kind)
    rows = read_rows(path, kind)
    for row in rows:
        assert kind.from_json(row.to_json()) == row, "it is not written as it was read"
    return [plain(row) for row in rows]


def require_upkeep(path: Path, kind: type[StoredRow]) -> None:
    """Tidying drops but rows that later ones supersede, and what is left is read, or of a later version."""
    if kind not in KEYED:
        return
    copy, content, found = path.with_name("copy.jsonl"), path.read_bytes(), []
    for ending in (b"", b"\n"):
        copy.write_bytes(content.removesuffix(b"\n") + ending)
        found.append(prune_file(copy, kind))
        kept = copy.read_bytes().splitlines() if copy.exists() else []
        assert set(kept) <= {*content.splitlines()}, "lines that did not stand there"
        with contextlib.suppress(BenchError):
            assert len({row.key for row in read_rows(path, kind)}) <= len(read_rows(copy, kind)), "rows are lost"

    if content.endswith(b"\n"):  # the last line is whole, and then its end says nothing
        assert len({(one.rows, one.superseded, one.damaged) for one in found}) == 1, f"{found}"


def plain(row: StoredRow) -> Any:
    return json.loads(row.to_json())


def require_one_reading(kind: type[StoredRow], line: bytes) -> None:
    """The quick reader of own lines reads as the strict one, and both what stands there."""
    def parse(content: str | bytes) -> Any:
        try:
            return kind.from_json(content)
        except ValueError as error:
            assert str(error)
            return str(error)

    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    strict, quick = parse(text), parse(line)  # text is read strictly, bytes may be the suite's own
    assert quick == strict and repr(quick) == repr(strict)  # 1 is not True, and not 1.0
    if isinstance(strict, StoredRow) and json.loads(text).get("schema") == kind.SCHEMA:
        values = {field: msgspec.to_builtins(getattr(strict, field)) for field in strict.__struct_fields__}
        assert holds({**values, "schema": kind.SCHEMA}, json.loads(text)), "it is not what stands there"


def holds(read_values: Any, stands: Any) -> bool:
    """Whether all that stands in a line was read; what says nothing may be left out."""
    if isinstance(stands, dict) and isinstance(read_values, dict):
        return all(holds(read_values[key], value) if key in read_values else not value for key, value in stands.items())
    if isinstance(stands, (list, tuple)) and isinstance(read_values, (list, tuple)):
        return len(stands) == len(read_values) and all(map(holds, read_values, stands))
    if isinstance(read_values, float) and isinstance(stands, int):  # of more digits than a float has
        return read_values == float(stands)
    return bool(read_values == stands)


def check_log(log: TrainingLog | None) -> Any:
    if log is None:
        return None
    assert log.last_step >= 0 and all(step.elapsed_s >= 0 for step in log.steps)
    return log.last_step


ROWS = Generator("rows", stored_files(), read, 450, lambda path: f"{path}, line ")
LOGS = Generator("logs", logs(), read, 150, lambda path: f"{path}, line ")
