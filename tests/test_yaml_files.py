"""YAML files of the suite: mistakes are reported with file and line, keys that stand twice are refused."""

from __future__ import annotations

import re
from random import Random

import pytest

from bench.claims.catalogue import load_claims
from bench.common.errors import ConfigurationError
from bench.common.yaml_files import read_yaml
from bench.datasets import load_catalogue
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
    (HARMLESS % "１", 2, "got '１'"),
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


NASTY = ("", "null", "true", "3", "-1", "1e9", ".5", "text", "''", "[]", "{}", "[[]]", "[1, x]", "{a: b}", "{1: 2}",
         "[null]", "9" * 30, "'\\0'", '"\\0"', "../..", "&a x", "*a", "!!int 3", "? x", "- x", "%", "@", "`", "\t")
WHOLE = {
    load_variants: """\
variants:
  a: {model: m, lambdas: [1, 2.5]}
  b:
    model: m
    lambdas: &l [1, 2]
    phase: 1
    after: a
    metric: mse
    seed: 0
    options: {M: 3, stages: [[1, 2]]}
    options_at: {1: {N: 2}}
    miniature: true
    checkpoints: {1: a.pth, 2: b.pth}
""",
    load_claims: """\
claims:
  a:
    variant: v
    versus: vtm
    metric: bd_rate
    change_percent: [-3, -2]
    dataset: [kodak, tecnick]
    published: x
    kind: measured
    source: s
    contradicts: [b]
  b: {variant: w, metric: quality, by: ms-ssim, value: [1, 2], at_bpp: 1, kind: predicted, source: s, contradicts: [a]}
""",
    load_catalogue: """\
birds:
  title: Birds
  licence: CC0
  citation: nobody
  page: http://x.org/a
  urls: ["http://x.org/{name}/{number}"]
  folders: [a]
  subfolders: [a/b]
  archive: {members: "*", sources: [{url: "http://x.org", size: 3}]}
  package: {name: p, folder: f}
  images:
    - {name: a.png, width: 3, height: 4}
    - name: b.png
      size: 3
""",
}


def mutated(random: Random, text: str) -> str:
    """Lose, double or move a line, or replace a value or a character."""
    lines = text.splitlines()
    index, other = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(5)
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines.insert(other, lines[index])
    elif kind == 2:
        values = [match.span() for match in re.finditer(r"(?<=[:\[,] )[^\s,\]}]+|(?<=\[)[^\s,\]}]+", lines[index])]
        start, end = random.choice(values or [(0, 0)])
        lines[index] = lines[index][:start] + random.choice(NASTY) + lines[index][end:]
    elif kind == 3:
        start = random.randrange(len(lines[index]))
        lines[index] = lines[index][:start] + random.choice("[]{}:,&*-?'\"#|>%@`\t\0 é") + lines[index][start + 1:]
    else:
        lines[index] = lines[index].partition(":")[0] + ": " + random.choice(NASTY)
    return "\n".join(lines)


@pytest.mark.parametrize("load", WHOLE)
def test_mutated_files_are_read_or_refused_by_line(tmp_path, load):
    random, path = Random(1), tmp_path / "mutated.yaml"
    path.write_text(WHOLE[load], encoding="utf-8")
    load(path)
    refused = 0
    for _ in range(400):
        path.write_text(mutated(random, WHOLE[load]), encoding="utf-8")
        try:
            load(path)
        except ConfigurationError as error:
            refused += 1
            assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error))
    assert refused > 200
