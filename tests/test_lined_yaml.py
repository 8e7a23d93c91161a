"""YAML files of the suite: mistakes are reported with file and line, keys that stand twice are refused."""

from __future__ import annotations

import pytest

from bench.common.errors import ConfigurationError
from bench.common.yaml_files import read_yaml
from bench.variants import load_variants

START = "variants:\n  a:\n    model: hpcm_base\n    lambdas: [0.1]\n"


@pytest.mark.parametrize(("more", "line", "said"), [
    ("    lambdas: [0.2]\n", 5, "'lambdas' stands twice"),
    ("  a:\n    model: hpcm_base\n", 5, "'a' stands twice"),
    ("    lamdas: [0.2]\n", 5, "unknown key 'lamdas'"),
    ("    metric: [psnr]\n", 5, "'metric' must be one of mse, ms-ssim"),
    ("    label: x\n    miniature: maybe\n", 6, "'miniature' must be true or false, got 'maybe'"),
    ("    checkpoints:\n      -1: a.pth\n", 5, "'checkpoints' must be a folder or a mapping"),
    ("    label: [\n", 6, "expected"),
    ("  b:\n    model: hpcm_base\n", 5, "variant 'b' lacks 'lambdas'"),
    ("  b: hpcm_base\n", 5, "variant 'b' must be a mapping"),
    ("  b: {model: x, lambdas: [0]}\n", 5, "'lambdas' must be a list of"),
])
def test_mistakes_in_variants_name_file_and_line(tmp_path, more, line, said):
    path = tmp_path / "variants.yaml"
    path.write_text(START + more)
    with pytest.raises(ConfigurationError) as caught:
        load_variants(path)
    assert f"{path}:{line}: " in str(caught.value) and said in str(caught.value)


def test_a_variants_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="none.yaml: No such file"):
        load_variants(tmp_path / "none.yaml")


def test_lines_of_merged_keys(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: &base\n  k: 1\nother:\n  <<: *base\n  own: 2\n")
    other = read_yaml(path)["other"]
    assert other == {"k": 1, "own": 2}
    assert other.line_of("own") == 5 and other.line_of("k") == 4


def test_checkpoints_may_be_given_file_by_file(tmp_path):
    path = tmp_path / "variants.yaml"
    path.write_text(START + "    checkpoints: {0.1: w/x.pth}\n")
    assert load_variants(path)["a"].checkpoints == {0.1: tmp_path / "w/x.pth"}
