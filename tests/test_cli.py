"""The command line itself."""

import subprocess
import sys
from pathlib import Path

from bench.benchmarks.commands import list_verbs
from bench.cli import VERBS

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
