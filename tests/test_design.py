"""What docs/design.md says of folders, layers, modules and tests is so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DESIGN = (ROOT / "docs" / "design.md").read_text()
QUOTED = sorted(set(re.findall(r"`([\w./]+)`", DESIGN)))


def test_every_package_has_a_paragraph():
    packages = {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    assert set(re.findall(r"^\*\*`bench/(\w+)`\*\*", DESIGN, re.M)) == packages


def test_layers_are_those_that_are_checked():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert "".join(f"    {layer}\n" for layer in layers) in DESIGN


@pytest.mark.parametrize("path", [text for text in QUOTED if "/" in text and not text.startswith(("results", "check"))])
def test_paths_exist(path):
    assert any((folder / path).exists() for folder in (ROOT, ROOT / "bench", *(ROOT / "bench").iterdir()))


def test_tests_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = [text for text in QUOTED if text.startswith("test_")]
    assert named and [name for name in named if f"def {name}(" not in tests] == []
