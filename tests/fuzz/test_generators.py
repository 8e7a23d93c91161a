"""Inputs of every generator are read rightly, or refused by an error that names the file, within bounds.

`make fuzz MINUTES=30` tries others, and more of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.campaign import GENERATORS, run_inputs
from fuzz.trials import READ


@pytest.mark.parametrize("name", GENERATORS)
def test_inputs_are_read_rightly_or_refused(name: str, tmp_path: Path) -> None:
    generator = GENERATORS[name]
    counts = run_inputs(generator, generator.ci_inputs, tmp_path)
    assert counts.total() >= generator.ci_inputs / 2 and counts[READ] > 0
