"""YAML of the suite: datasets, variants and claims."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from fuzz.damage import damaged
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st

from bench.claims.catalogue import load_claims
from bench.datasets import load_catalogue
from bench.variants import load_variants

NASTY = ("", "null", "true", "3", "-1", "1e9", ".5", "text", "''", "[]", "{}", "[[]]", "[1, x]", "{a: b}", "{1: 2}",
         "[null]", "9" * 30, "'\\0'", '"\\0"', "../..", "&a x", "*a", "!!int 3", "? x", "- x", "%", "@", "`", "\t",
         ".inf", ".nan", "1:30", "0x10", "0o7", "1_000", "2024-01-01", "~", "yes", "1e400", "9" * 400, "٣", "\ufeff",
         "[*a, *a]", "{<<: *a}", "!!python/name:os.system", "|\n    x", ">-\n    y", "\"\\uD800\"", "{a: {b: {c: 1}}}")
LETTERS = "[]{}:,&*-?'\"#|>%@`\t\0 é\ufeff\u2028"
WHOLE: dict[str, str] = {
    "variants.yaml": """\
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
    "claims.yaml": """\
claims:
  a:
    variant: v
    versus: vtm
    metric: bd_rate
    change_percent: [-3, -2]
    dataset: [kodak, tecnick]
    published: hpcm-base-mse
    kind: measured
    source: s
    contradicts: [b]
  b: {variant: w, metric: quality, by: ms-ssim, value: [1, 2], at_bpp: 1, kind: predicted, source: s, contradicts: [a]}
""",
    "datasets.yaml": """\
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
LOADERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "variants.yaml": load_variants, "claims.yaml": load_claims, "datasets.yaml": load_catalogue}
RIGHT: dict[str, Any] = {
    "variants.yaml": [["a", "m", [1.0, 2.5]], ["b", "m", [1.0, 2.0]]],
    "claims.yaml": [["a", "v", "bd_rate"], ["b", "w", "quality"]],
    "datasets.yaml": [["birds", "Birds", [["a.png", 3, None], ["b.png", None, 3]]]],
}


@st.composite
def damaged_texts(draw: st.DrawFn, text: str) -> bytes:
    """A text whose lines are lost, doubled or moved, or hold other values or letters."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 2))):
        place, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        kind = draw(st.sampled_from(["delete", "double", "value", "letter", "rest", "indent"]))
        line = lines[place]
        if kind == "delete" and len(lines) > 1:
            del lines[place]
        elif kind == "double":
            lines.insert(other, line)
        elif kind == "value":
            spans = [found.span() for found in re.finditer(r"(?<=[:\[,] )[^\s,\]}]+|(?<=\[)[^\s,\]}]+", line)]
            start, end = draw(st.sampled_from(spans or [(0, 0)]))
            lines[place] = line[:start] + draw(st.sampled_from(NASTY)) + line[end:]
        elif kind == "letter":
            start = draw(st.integers(0, len(line)))
            lines[place] = line[:start] + draw(st.sampled_from(LETTERS)) + line[start + 1:]
        elif kind == "indent":
            lines[place] = " " * draw(st.integers(0, 6)) + line.lstrip()
        else:
            lines[place] = line.partition(":")[0] + ": " + draw(st.sampled_from(NASTY))
    return "\n".join(lines).encode()


@st.composite
def respelled(draw: st.DrawFn, text: str) -> bytes:
    """The same values in another spelling."""
    values = yaml.safe_load(text)
    spelled = yaml.safe_dump(values, default_flow_style=draw(st.sampled_from([None, True, False])),
                             sort_keys=False, indent=draw(st.integers(2, 6)), width=draw(st.sampled_from([20, 80])),
                             explicit_start=draw(st.booleans()), explicit_end=draw(st.booleans()),
                             line_break=draw(st.sampled_from(["\n", "\r\n"])),
                             default_style=None, allow_unicode=draw(st.booleans()))
    before = draw(st.sampled_from(["", "\ufeff", "# remark\n", "\n\n", "\ufeff# remark: [\n"]))
    return (before + spelled + draw(st.sampled_from(["", "# end", "\n\n"]))).encode()


@st.composite
def yaml_files(draw: st.DrawFn) -> Trial:
    """A file with mistakes, or in another spelling."""
    name = draw(st.sampled_from(list(WHOLE)))
    case = draw(st.sampled_from(["lines", "lines", "bytes", "spelling"]))
    if case == "spelling":
        return Trial({name: draw(respelled(WHOLE[name]))}, RIGHT[name], refusable=False)
    return Trial({name: draw(damaged_texts(WHOLE[name]) if case == "lines" else damaged(WHOLE[name].encode()))})


def read(path: Path) -> Any:
    """Read a file of entries, and return what of them is easily written down."""
    entries = LOADERS[path.name](path)
    if path.name == "variants.yaml":
        return [[name, entry.model, list(entry.lambdas)] for name, entry in entries.items()]
    if path.name == "claims.yaml":
        return [[name, entry.variant, entry.metric] for name, entry in entries.items()]
    return [[name, entry.title, [[image.name, image.width, image.size] for image in entry.images]]
            for name, entry in entries.items()]


YAML_FILES = Generator("yaml", yaml_files(), read, 300, lambda path: f"{path}:")
