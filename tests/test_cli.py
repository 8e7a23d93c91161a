"""The command line itself."""

import io
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bench.benchmarks.commands import list_verbs
from bench.cli import VERBS, main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE

ROOT = Path(__file__).parents[1]


def test_help_of_every_verb_imports_nothing_heavy():
    """Nothing but what a verb says of itself is needed."""
    program = (
        "import contextlib, io, sys; from bench.cli import VERBS, main\n"
        "for verb in VERBS:\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:\n"
        "        main([verb, '--help'])\n"
        "    assert f'bench {verb}' in shown.getvalue(), verb\n"
        "    heavy = {'numpy', 'torch', 'compressai', 'matplotlib', 'pandas', 'optuna', 'scipy'} & set(sys.modules)\n"
        "    assert not heavy, (verb, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_verb_says_what_it_accepts():
    assert list_verbs() == sorted(VERBS)


def make_picture(folder: Path, name: str) -> Path:
    folder.mkdir()
    Image.new("RGB", (16, 16)).save(folder / name)
    return folder


@pytest.mark.parametrize(("encoding", "shown"), [
    ("ascii", r"\u03bb.png"), ("latin-1", r"\u03bb.png"), ("utf-8", "λ.png")])
def test_a_terminal_without_a_letter_shows_its_number(encoding, shown, tmp_path, monkeypatch):
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding=encoding))
    assert main(["datasets", "verify", str(make_picture(tmp_path / "a", "λ.png"))]) == EXIT_DONE
    sys.stdout.flush()
    assert shown in stream.getvalue().decode(encoding)


def test_a_name_that_is_no_utf8_is_refused_where_rows_would_hold_it(tmp_path, capsys):
    folder = make_picture(tmp_path / "a", "b.png")
    os.rename(os.fsencode(folder / "b.png"), os.fsencode(folder) + b"/caf\xe9.png")
    assert main(["evaluate", "--dataset", str(folder), "--results", str(tmp_path)]) == EXIT_BAD_INPUT
    assert "names that are not UTF-8" in capsys.readouterr().err


def test_a_name_that_a_library_does_not_take_is_told(monkeypatch, capsys):
    monkeypatch.setattr("bench.commands.datasets.run", lambda args: "caf\udce9".encode())
    assert main(["datasets", "list"]) == EXIT_BAD_INPUT
    assert "not UTF-8, as this one: caf\n" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["BENCH_DATA", "BENCH_RESULTS", "BENCH_VARIANTS"])
def test_a_home_folder_that_is_not_known_is_told(variable, monkeypatch, capsys):
    def know_nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", know_nobody)
    monkeypatch.setenv(variable, "~/here")
    command = {"BENCH_DATA": ["datasets", "list"], "BENCH_RESULTS": ["results", "list"], "BENCH_VARIANTS": ["variants"]}
    assert main(command[variable]) == EXIT_BAD_INPUT
    assert f"error: {variable} names ~/here, and ~ has no home folder here\n  set HOME" in capsys.readouterr().err


def test_a_folder_in_the_home_folder_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BENCH_RESULTS", "~/here")
    assert main(["results", "list"]) == EXIT_DONE
    assert f"nothing is stored in {tmp_path / 'here'}" in capsys.readouterr().out
