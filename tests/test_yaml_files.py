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
    ("  b:\n    model: hpcm_base\n", 5, "variant 'b': lacks 'lambdas'"),
    ("  b: hpcm_base\n", 5, "variant 'b': must be a mapping"),
    ("  b: {model: x, lambdas: [0]}\n", 5, "'lambdas[0]' must be a positive number (0.001, not 1e-3), got 0"),
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


HARMLESS = "variants:\n  a: {model: m, lambdas: [1], options: %s}\n"


def laughs(line: str) -> str:
    """Mappings or lists of which each holds nine times the one before."""
    names = [f"v{number}" for number in range(12)]
    return "v0: &v0 {x: 1}\n" + "".join(
        f"{name}: &{name} {line % ', '.join([f'*{before}'] * 9)}\n" for before, name in zip(names, names[1:]))


@pytest.mark.parametrize(("text", "line", "said"), [
    (HARMLESS % ("9" * 400), 2, "not a finite number"), (HARMLESS % ("9" * 5000), 2, "no value"),
    (HARMLESS % ("0x" + "f" * 5000), 2, "not a finite number"), (HARMLESS % ("1:" * 3000 + "1.5"), 2, "no value"),
    (HARMLESS % "{M: .nan}", 2, "not a finite number"), (HARMLESS % "{M: -.inf}", 2, "not a finite number"),
    (HARMLESS % "{M: 2024-01-01}", 2, "put it in quotes"), (HARMLESS % "{M: 2024-13-45}", 2, "no value"),
    (HARMLESS % "!!python/object/apply:os.getcwd []", 2, "is not used here"), (HARMLESS % "*b", 2, "nothing before"),
    (HARMLESS % "&b {c: *b}", 2, "nothing before"), (HARMLESS % "{<<: 3}", 2, "only mappings"),
    (HARMLESS % "{? [1] : 2}", 2, "a key must be a word"), (HARMLESS % "{M: 1, M: 2}", 2, "'M' stands twice"),
    (HARMLESS % "{0.1: 1, 0.10: 2}", 2, "'0.10' stands twice"), (HARMLESS % ("[" * 9999), 2, "nested more than"),
    (HARMLESS % ("{a: " * 9999), 2, "nested more than"), ("a:\n" + "- " * 9999, 2, "nested more than"),
    (laughs("[%s]"), 6, "aliases counted"), (laughs("{<<: [%s]}"), 6, "aliases counted"),
    (HARMLESS % "{}" + "---\na: 1\n", 3, "a second document"), ("a: 1\nb: \0\n", 2, "not allowed"),
    (HARMLESS % ("1" + ":0" * 2_000_000), 2, "letters"), (HARMLESS % ("x" * 99_999), 2, "letters"),
    (HARMLESS % "１", 2, "got '１'"), (HARMLESS % "{}, lambdas: [013]", 2, "'013' would be read as 11"),
    (HARMLESS % "{M: 1:30}", 2, "'1:30' would be read as 90"), (HARMLESS % "{M: 1:30.5}", 2, "put it in quotes"),
    (HARMLESS % "{}, seed: ٣", 2, "got '٣'"), (HARMLESS % ("{}, metric: " + "k" * 9999), 2, "k..."),
    ("x" * (1 << 24), 1, "has more than"), ("", 1, "must hold a mapping"),
])
def test_damaged_and_hostile_files_name_the_line(tmp_path, text, line, said):
    path = tmp_path / "variants.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_variants(path)
    assert f"{path}:{line}: " in str(caught.value) and said in str(caught.value)


def test_a_mark_of_byte_order_is_passed_over_and_other_encodings_name_the_line(tmp_path):
    path = tmp_path / "variants.yaml"
    path.write_text(START, encoding="utf-8-sig")
    assert list(load_variants(path)) == ["a"]
    path.write_bytes(START.encode() + b"    label: \xe9")
    with pytest.raises(ConfigurationError, match=f"{path}:5: not UTF-8"):
        load_variants(path)
    path.write_text(START, encoding="utf-16")
    with pytest.raises(ConfigurationError, match=f"{path}:1: not UTF-8"):
        load_variants(path)
