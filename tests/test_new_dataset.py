"""A dataset that is only an entry of datasets.yaml: reports, anchors, claims and commands know it by that."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.claims.catalogue import load_claims
from bench.claims.curves import Curves
from bench.cli import main
from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.curves.anchors.catalogue import list_anchors, list_curves
from bench.reports.rate.report import make_rate_report
from bench.results.stored import StoredResults
from tests import row_samples

ENTRY = """

birds:
  title: Birds of the north
  licence: CC0
  citation: nobody
  report_note: They fly.
  images: [{name: 0.png}, {name: 1.png}, {name: 2.png}]
  published:
    folder: tecnick-rgb-1200
    anchors:
      - {name: vtm-18.0-lossyvae, role: default, label: VTM for birds, convention: as published, qps: [22, 42]}
    shown: {hpcm-base-mse: A bird's codec, dcae-mse: Another}
    plotted: [hpcm-base-mse]
    codecs: {bpg: bpg-444-tfc}
"""
CLAIM = ("claims:\n  a: {variant: hpcm_base, versus: bpg, metric: bd_rate, dataset: %s, change_percent: [-3, -2],"
         " kind: measured, source: s, published: hpcm-base-mse}\n")


@pytest.fixture(autouse=True)
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A datasets.yaml with one dataset more."""
    path = tmp_path / "datasets.yaml"
    path.write_text((Path(__file__).parents[1] / "datasets.yaml").read_text() + ENTRY)
    monkeypatch.setenv("BENCH_DATASETS", str(path))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    return path


def test_its_report_has_title_note_anchor_and_published_codecs(tmp_path):
    folder = tmp_path / "results" / "birds"
    folder.mkdir(parents=True)
    rows = row_samples.write(folder / "jpeg.jsonl", row_samples.rows_of(dataset_total=3, image_verified=True))
    rows.write_text(rows.read_text().replace('"kodak"', '"birds"'))
    assert main(["report", "--dataset", "birds", "--results", str(tmp_path / "results"),
                 "--reports", str(tmp_path / "reports")]) == EXIT_DONE
    readme = (tmp_path / "reports" / "birds" / "README.md").read_text()
    for text in ("Birds of the north, 3 images", "They fly.", "VTM for birds", "A bird's codec (published)",
                 "Another (published)"):
        assert text in readme
    plotted = make_rate_report(StoredResults(tmp_path / "results"), "birds").figures[0].data
    labels = {curve.label for curve in plotted.curves}
    assert "A bird's codec (published)" in labels and "Another (published)" not in labels


def test_its_anchors_and_curves_are_found(capsys):
    assert [anchor.label for anchor in list_anchors("birds")] == ["VTM for birds"]
    assert list_curves("birds") == list_curves("tecnick")
    assert main(["anchors", "list", "birds"]) == EXIT_DONE
    assert "default anchor" in capsys.readouterr().out
    assert main(["bdrate", "birds/anchor", "birds/hpcm-base-mse"]) == EXIT_DONE
    assert "-18.24" in capsys.readouterr().out.replace("−", "-")


def test_claims_may_be_about_it(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIM % "birds")
    assert load_claims(path)["a"].datasets == ("birds",)
    assert Curves(StoredResults(tmp_path)).find_codec("birds", "bpg", "psnr").published
    path.write_text(CLAIM % "[birds, bird]")
    with pytest.raises(ConfigurationError, match=r"claims.yaml:2: claim 'a': 'dataset': 'bird' is none of .*\n.*birds"):
        load_claims(path)


def test_commands_know_it(capsys):
    assert main(["datasets", "list"]) == EXIT_DONE
    assert "birds     0 of 3" in capsys.readouterr().out
    main(["datasets", "verify", "birds"])
    assert "birds: not here, 3 images missing" in capsys.readouterr().out


@pytest.mark.parametrize(("old", "new", "at", "said"), [
    ("role: default", "role: usual", "- {name: vtm", "'published.anchors[0].role' must be one of default, strict, got"),
    ("role: default", "role: strict", "    anchors:\n      - {", "'anchors' must begin with the one default anchor"),
    ("plotted: [hpcm-base-mse]", "plotted: [x]", "plotted: [x]", "'plotted' has 'x', which is not among those shown"),
    ("codecs:", "codec:", "codec:", "did you mean codecs?"),
    ("[22, 42]", "[22]", "[22]", "must be [smallest, largest] QP"),
])
def test_mistakes_name_the_line(catalogue, old, new, at, said):
    text = catalogue.read_text().replace(ENTRY, ENTRY.replace(old, new))
    catalogue.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        list_anchors("birds")
    line = text.count("\n", 0, text.index(at, text.index("birds:"))) + 1
    assert f"datasets.yaml:{line}: " in str(caught.value) and said in str(caught.value)
