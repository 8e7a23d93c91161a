"""Labels and messages of any letters are text in every output: no tags, links, macros, formulas or terminal codes."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from fuzz.labels import CONTROLS
from PIL import Image

from bench.cli import main
from bench.common.text import escape_formula
from bench.runners.progress import Progress


@pytest.mark.parametrize("text", ["", "a", "-4.1", "+8 %", "12", "a=b", "λ 0.013", "−4.10", "'x"])
def test_what_is_no_formula_stays(text: str) -> None:
    assert escape_formula(text) == text


@pytest.mark.parametrize("name", ["\x1b[2Jx", "\x9b31mx", "\u202egnp.x"])
def test_errors_move_no_cursor(name: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "--dataset", name, "--codecs", "jpeg"]) == 2
    assert "error: " in (error := capsys.readouterr().err) and not CONTROLS.search(error)


def test_names_of_scored_pictures_are_no_formulas(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for folder, colour in (("a", "black"), ("b", "white")):
        (tmp_path / folder).mkdir()
        for name in ("=1+1.png", "\x1b[31m.png"):
            Image.new("RGB", (16, 16), colour).save(tmp_path / folder / name)
    table = tmp_path / "scores.csv"
    assert main(["score", str(tmp_path / "a"), str(tmp_path / "b"), "--metrics", "psnr", "--csv", str(table)]) == 0
    assert [row[0] for row in csv.reader(table.open())] == ["image", "[31m", "'=1+1"]
    assert not CONTROLS.search(capsys.readouterr().out)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_moves_no_cursor(stream: io.StringIO) -> None:
    with Progress(10.0, 1, stream=stream) as progress:
        progress.start_step("\x1b[31mx\n\x9b2J.png", 1.0)
        progress.count_image("\x1b[31mx\n\x9b2J.png")
        progress.print_line("\x1b[31mdone")
    shown = stream.getvalue()
    assert "[31mx 2J.png" in shown and "[31mdone" in shown
    assert not re.search("\x1b\\[31m|\x9b", shown)


def test_no_output_of_a_verb_moves_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "a\x1b[31m\x9b2J"
    folder.mkdir()
    Image.new("RGB", (16, 16)).save(folder / "b\x1b[31m.png")
    assert main(["datasets", "verify", str(folder)]) == 0
    assert "b[31m.png" in (shown := capsys.readouterr().out) and not CONTROLS.search(shown)
