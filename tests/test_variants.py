"""variants.yaml: what it may say, where checkpoints are looked for, and ``python -m bench variants``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model, write_variants

from bench.cli import main
from bench.codecs.learned import list_specs, load_learned
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, ConfigurationError
from bench.common.folders import default_file
from bench.models import MODELS
from bench.variants import SUFFIXES, find_checkpoints, load_variants

# Those of rwkv_phase2 are the published ones with its adaptive vectors, those of lalic without what is derived.
PUBLISHED = {"hpcm_base": "68,505,299", "hpcm_large": "89,718,803", "hpcm_phi": "63,582,419",
             "hpcm_1b": "1,000,328,003", "multiref_phase1": "69,940,659", "multiref_phase2": "78,025,619",
             "rwkv_phase2": "80,939,243", "lalic": "65,621,045"}


def write(folder: Path, text: str) -> Path:
    path = folder / "variants.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def one(folder: Path, **entries: str):
    """Load a file of one good variant with some entries replaced."""
    good = {"model": "hpcm_base", "lambdas": "[0.01, 0.02]", **entries}
    lines = [f"    {key}: {value}" for key, value in good.items() if value]
    return load_variants(write(folder, "\n".join(["variants:", "  mine:", *lines])))["mine"]


def test_the_shipped_file_knows_every_model_and_marks_miniatures() -> None:
    variants = load_variants(Path(__file__).parents[1] / "variants.yaml")
    models = {variant.model for variant in variants.values()}
    assert {model for model in models if not model.startswith("compressai:")} == set(MODELS)
    assert variants["hpcm_base"].lambdas == (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483)
    for name, variant in variants.items():
        assert variant.miniature == name.endswith("_mini") == ("miniature" in variant.label)


def test_defaults_and_every_key(tmp_path: Path) -> None:
    plain = one(tmp_path)
    assert (plain.name, plain.label, plain.metric, plain.miniature, dict(plain.options)) == (
        "mine", "mine", "mse", False, {})
    assert plain.lambdas == (0.01, 0.02) and plain.checkpoints == tmp_path / "checkpoints" / "mine"
    full = one(tmp_path, label="Mine", line="HPCM", changes="widths", lambdas="[1, 2.5]", metric="ms-ssim",
               options="{M: 16, stages: [[8, 1]]}", miniature="true", checkpoints="elsewhere", phase="3",
               options_at="{2.5: {N: 8, M: 32}}")
    assert (full.label, full.line, full.changes, full.metric, full.miniature) == (
        "Mine", "HPCM", "widths", "ms-ssim", True)
    assert full.lambdas == (1.0, 2.5) and full.options == {"M": 16, "stages": [[8, 1]]}
    assert full.checkpoints == tmp_path / "elsewhere"
    assert (plain.phase, plain.after, plain.options_at) == (None, None, {})
    assert full.phase == 3 and full.where == f"{tmp_path / 'variants.yaml'}:2"
    assert full.options_for(1.0) == {"M": 16, "stages": [[8, 1]]}
    assert full.options_for(2.5) == {"M": 32, "N": 8, "stages": [[8, 1]]}


def test_each_point_is_measured_with_its_own_options(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    for point in ("0.01", "0.02"):
        (folder / f"{point}.pth").touch()
    variant = one(tmp_path, options="{M: 16}", options_at="{0.02: {M: 24, N: 4}}")
    assert [spec.settings["options"] for spec in list_specs(variant)] == [{"M": 16}, {"M": 24, "N": 4}]


def test_variants_do_not_follow_themselves(tmp_path: Path) -> None:
    entry = "  %s: {model: hpcm_base, lambdas: [1], after: %s}\n"
    text = "variants:\n" + entry % ("a", "b") + entry % ("b", "a")
    with pytest.raises(ConfigurationError, match="variants.yaml:2: variant 'a': comes after itself, by way of 'b'"):
        load_variants(write(tmp_path, text))


@pytest.mark.parametrize("name", ["a/b", "a,b", "..", ".a", "a b"])
def test_names_that_files_and_options_can_not_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="'name' must be letters, digits"):
        load_variants(write(tmp_path, f"variants:\n  {name}: {{model: hpcm_base, lambdas: [1]}}\n"))


def test_a_variant_follows_another_one(tmp_path: Path) -> None:
    text = "variants:\n  a: {model: hpcm_base, lambdas: [1]}\n  b: {model: hpcm_base, lambdas: [1],\n    after: %s}\n"
    assert load_variants(write(tmp_path, text % "a"))["b"].after == "a"
    for wrong in ("b", "c", "hpcm_base"):
        with pytest.raises(ConfigurationError, match=rf"variants.yaml:4: variant 'b': comes after '{wrong}'.*\n.*a, b"):
            load_variants(write(tmp_path, text % wrong))


def test_wrong_rate_points_of_options_are_found_by_their_line(tmp_path: Path) -> None:
    text = "variants:\n  a:\n    model: hpcm_base\n    lambdas: [1, 2]\n    options_at:\n      1: {M: 8}\n      3: {}\n"
    with pytest.raises(ConfigurationError, match="variants.yaml:7: variant 'a': 'options_at' has λ 3, .* are 1, 2"):
        load_variants(write(tmp_path, text))


@pytest.mark.parametrize("name", ["jpeg", "vvenc", "learned", "all", "classical"])
def test_names_of_codecs_and_groups_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"variants.yaml:3: variant '{name}' has the name of a codec"):
        load_learned(write(tmp_path, f"variants:\n  a: &a {{model: m, lambdas: [1]}}\n  {name}: *a\n"))


@pytest.mark.parametrize(("key", "value"), [
    ("model", ""), ("model", "[a]"), ("model", "3"),
    ("lambdas", ""), ("lambdas", "0.01"), ("lambdas", "[]"), ("lambdas", "[0.01, -1]"), ("lambdas", "[0]"),
    ("lambdas", "[true]"), ("lambdas", "[1e-3]"),
    ("lambdas", "[0.01, 0.01]"), ("lambdas", "[0.01, 0.01000000001]"), ("lambdas", "{0.01: 0.02}"),
    ("metric", "psnr"), ("metric", "[mse]"), ("metric", "null"), ("miniature", "1"), ("miniature", "'yes'"),
    ("options", "[1]"), ("options", "null"),
    ("checkpoints", "3"), ("checkpoints", "[a]"), ("checkpoints", "null"), ("checkpoints", "{0.01: 3}"),
    ("checkpoints", "{a: b}"), ("checkpoints", "{0.01: a.pth}"),
    ("checkpoints", "{0.01: a.pth, 0.02: b.pth, 0.03: c.pth}"),
    ("label", "3"), ("lambda", "[0.01]"), ("phase", "0"), ("phase", "one"), ("phase", "true"), ("after", "3"),
    ("options_at", "[1]"), ("options_at", "{0.01: 3}"), ("options_at", "{a: {M: 8}}"),
    ("options_at", "{0.03: {M: 8}}"), ("phase", "1.0"), ("seed", "-1"), ("recipe", "[a]"),
])
def test_wrong_values_name_file_variant_and_key(key: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        one(tmp_path, **{key: value})
    assert caught.value.exit_code == EXIT_BAD_INPUT
    for word in ("variants.yaml", "'mine'", f"'{key}"):
        assert word in str(caught.value)


@pytest.mark.parametrize("text", [
    "variants: [", "variants: {a: {model: x", "- a", "", "variants: 3", "variants: {}", "variants: {mine: 3}",
    "other: {}", "a: b: c",
    "variants:\n\t- tab", "variants: &v [*v]", "variants: !!python/object/apply:os.system ['true']",
    "variants:\n  a: {model: x, lambdas: [1]}\n  a: {model: y, lambdas: [1]}",
])
def test_malformed_files_are_refused_by_name(text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path, text)
    assert main(["variants", "--file", str(path)]) == EXIT_BAD_INPUT
    assert "variants.yaml" in capsys.readouterr().err


def test_files_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"variants: \xe9")
    for path in (tmp_path / "no.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(ConfigurationError, match=re.escape(str(path))):
            load_variants(path)


def test_checkpoints_are_looked_up_in_the_documented_order(tmp_path: Path) -> None:
    variant = one(tmp_path, lambdas="[0.0018, 60.5]")
    folder = tmp_path / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    (folder / "0.0018.pt.part").touch()
    (folder / "0.0018.pth.tar").mkdir()  # a folder is no checkpoint
    assert [found.path for found in find_checkpoints(variant)] == [None, None] and list_specs(variant) == []
    for suffix in reversed(SUFFIXES[1:]):
        path = folder / f"0.0018{suffix}"
        path.touch()
        first, second = find_checkpoints(variant)
        assert first.path == path and second.path is None
    assert second.looked_in == tuple(folder / f"60.5{suffix}" for suffix in SUFFIXES)
    assert (second.point, second.lambda_) == ("60.5", 60.5)


def test_checkpoints_are_called_after_the_number_in_whatever_digits(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    variant = one(tmp_path, lambdas="[0.013, 60.5]")
    for name in ("0.0131.pth", "0.013.txt", "a0.013.pth", "nan.pth", "0_013.pth", "6.05e1.pt", "0.0130.pth.tar"):
        (folder / name).touch()
    assert [found.path for found in find_checkpoints(variant)] == [folder / "0.0130.pth.tar", folder / "6.05e1.pt"]
    (folder / "0.013.safetensors").touch()
    assert find_checkpoints(variant)[0].path == folder / "0.013.safetensors"  # written as the suite does: it goes first

    for name in ("1.3e-2.PTH", "0.013.pt"):
        (folder / name).touch()
    found = find_checkpoints(variant)[0]
    assert found.path == folder / "0.013.pt"
    assert found.others == (folder / "0.013.safetensors", folder / "0.0130.pth.tar", folder / "1.3e-2.PTH")


def test_checkpoints_may_be_named_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "best.pth").touch()
    variant = one(tmp_path, lambdas="[1, 2.0, 3]",
                  checkpoints=f"{{1: a/best.pth, 2: {tmp_path}/absolute.pth, 3: ~/mine.pth}}")
    assert [found.looked_in for found in find_checkpoints(variant)] == [
        (tmp_path / "a" / "best.pth",), (tmp_path / "absolute.pth",), (tmp_path / "home" / "mine.pth",)]
    (spec,) = list_specs(variant)
    assert (spec.codec, spec.name, spec.point, spec.point_settings) == ("learned", "mine", "1", {"lambda": 1.0})
    assert spec.location == {"checkpoint": str(tmp_path / "a" / "best.pth")}


def test_environment_names_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = default_file("variants.yaml")
    assert usual == Path(__file__).parents[1] / "variants.yaml"
    monkeypatch.setenv("BENCH_VARIANTS", "")
    assert default_file("variants.yaml") == usual
    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    assert list(load_variants()) == ["tiny"]


def test_table_shows_models_sizes_and_checkpoints_in_140_columns(capsys: pytest.CaptureFixture) -> None:
    assert main(["variants"]) == EXIT_DONE
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 140
    header, rule = shown[:2]
    spans = [match.span() for match in re.finditer("-+", rule)]
    assert [header[slice(*span)].strip() for span in spans] == [
        "line", "phase", "variant", "changes", "parameters", "padding", "checkpoints", "operators"]
    cells = [[line[slice(*span)].strip() for span in spans] for line in shown[2:shown.index("")]]
    rows = {row[2]: row for row in cells if row[2]}  # the first line of each
    assert list(rows) == list(load_variants())
    for name, parameters in PUBLISHED.items():
        assert rows[name][4] == parameters and rows[name][6].endswith(f"of {len(load_variants()[name].lambdas)}")
    assert {name: rows[name][5] for name in ("hpcm_base", "hpcm_base_mini", "mbt2018_mean", "lalic")} == {
        "hpcm_base": "256", "hpcm_base_mini": "128", "mbt2018_mean": "64", "lalic": "128"}
    assert rows["rwkv_phase2"][:4] == ["RWKV", "2", "rwkv_phase2", "against rwkv_phase1: RWKV cells at"]
    assert rows["hpcm_base"][7] == rows["mbt2018_mean"][7] == "-"
    assert rows["rwkv_phase1"][7] == rows["lalic"][7] in ("native", "plain")


def test_detail_says_why_an_operator_is_not_native(monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("BENCH_NATIVE", "0")
    assert main(["variants", "rwkv_phase1"]) == EXIT_DONE
    assert "operators: biwkv: plain torch (BENCH_NATIVE=0)" in capsys.readouterr().out


def test_detail_shows_places_and_whether_checkpoints_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    folder = tmp_path / "checkpoints" / "tiny"
    folder.mkdir(parents=True)
    torch.save(tiny_model().state_dict(), folder / "0.01.pth")
    assert main(["variants", "tiny"]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert "tiny: Tiny (miniature)" in shown
    assert re.search(r"λ 0.01: \S*0.01.pth, fits", shown)
    assert re.search(r"λ 0.02: missing, looked for \S*0.02.pth.tar, \S*0.02.pth, \S*0.02.pt, "
                     r"\S*0.02.safetensors", shown)
    (folder / "0.02.pt").write_bytes(b"not a checkpoint")
    assert main(["variants", "tiny"]) == EXIT_DONE
    assert re.search(r"0.02.pt, can't be used", capsys.readouterr().out)


def test_unknown_names_give_exit_code_2(capsys: pytest.CaptureFixture) -> None:
    assert main(["variants", "hpcm_base", "hpcm_bse"]) == EXIT_BAD_INPUT
    captured = capsys.readouterr()
    assert "hpcm_bse" in captured.err and "did you mean hpcm_base?" in captured.err and captured.out == ""


@pytest.mark.parametrize(("entries", "told"), [
    ("model: hpcm_bas, lambdas: [1]", "hpcm_base"),
    ("model: hpcm_base, lambdas: [1], options: {depth: 3}", "no option depth"),
    ("model: hpcm_base, lambdas: [1], options: {M: wide}", "can't be built"),
])
def test_models_and_options_that_do_not_exist_give_exit_code_2(entries: str, told: str, tmp_path: Path,
                                                               capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path, f"variants:\n  mine: {{{entries}}}\n")
    assert main(["variants", "--file", str(path)]) == EXIT_BAD_INPUT
    shown = capsys.readouterr().err
    assert told in shown and "variants.yaml:2: variant 'mine'" in shown
