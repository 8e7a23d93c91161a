"""Files of rate points: tables and JSON in the spellings that people use, stored rows, and damaged ones."""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path
from typing import Any

from fuzz.damage import damaged
from fuzz.json_values import wrong_texts
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st
from msgspec.structs import replace
from row_samples import row

from bench.curves.anchors.compressai_json import write_json
from bench.curves.anchors.curve_files import read_curve_file
from bench.curves.sources import read_source

BPP = ("bpp", "BPP", "Bpp ↓", "rate_bpp", "bpp (bits/pixel)", "bpp [bits per pixel]", "Rate-BPP", "bpp (mean)")
PSNR = ("psnr", "PSNR", "psnr-rgb", "PSNR_RGB_dB", "PSNR (RGB) [dB] ↑", "psnr_rgb", "PSNR (dB)")
MS_SSIM = ("ms-ssim", "MS_SSIM", "ms-ssim-rgb", "ms_ssim")
REMARKS = ("remark", "time of day", "vmaf", "yuv-psnr", "loss")
SETTINGS = ("QP", "lmbda", "Quality", "point")
CELLS = ("", "x", "first", "no. 3", "-", "12", "3e4", "½", "ok?")
SEPARATORS = {",": ", ", "\t": "\t", ";": "; ", "|": " | ", " ": "   "}  # and how they are written with blanks
DEEP: Any = functools.reduce(lambda inner, _: [inner], range(60), "x")
METAS: tuple[Any, ...] = ({"dataset": "kodak", "images": 24, "averaging": {"psnr": "mean of dB", "ms-ssim": 3}}, {},
                          {"images": -1, "x": math.nan}, {"\ud800": 1}, {"dataset": "a\udfff"}, {"x": DEEP},
                          {"x": 10**400}, {"images": ["a"], "averaging": []}, {"dataset": ["a"], "qps": None})
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
COMMENTS = ("# by us", "% gap", "// bpp psnr", "#", "")
SUFFIXES = (".csv", ".CSV", ".tsv", ".txt", ".Txt")
NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")


@st.composite
def rate_points(draw: st.DrawFn, images: int = 1) -> list[list[tuple[float, float]]]:
    """(bpp, PSNR) of each point of each image, both rising, with few digits."""
    count = draw(st.integers(2, 6))
    made = []
    for _ in range(images):
        steps = [draw(st.tuples(st.integers(1, 400), st.integers(1, 500))) for _ in range(count)]
        rates, qualities = ([sum(step[which] for step in steps[: end + 1]) for end in range(count)] for which in (0, 1))
        made.append([(rate / 1000, 20 + quality / 100) for rate, quality in zip(rates, qualities)])
    return made


def average(images: list[list[tuple[float, float]]]) -> dict[str, Any]:
    """What a curve over ``images`` must be: the arithmetic means of each point."""
    columns = [[math.fsum(values) / len(images) for values in zip(*points)] for points in zip(*images)]
    return {"bpp": [rate for rate, _ in columns], "psnr": [quality for _, quality in columns]}


@st.composite
def numbers(draw: st.DrawFn, value: float, comma: bool) -> str:
    """A number as it may be written."""
    text = draw(st.sampled_from([f"{value:.5f}", repr(value), f"{value:.6e}", f"{value:+.3f}", f"{value:08.3f}"]))
    return text.replace(".", ",") if comma else text


@st.composite
def tables(draw: st.DrawFn) -> Trial:
    """A table of rate points, perhaps of several images, and what it holds."""
    separator = draw(st.sampled_from(list(SEPARATORS)))
    comma = separator not in ", " and draw(st.booleans())
    images = draw(rate_points(draw(st.integers(1, 3))))
    by_image = len(images) > 1 or draw(st.booleans())
    rate, quality = draw(st.sampled_from(BPP)), draw(st.sampled_from(PSNR))
    extra = draw(st.lists(st.sampled_from(REMARKS), max_size=2, unique=True))
    if separator == " ":  # names and cells are words then
        rate, quality, extra = "bpp", draw(st.sampled_from(["psnr", "PSNR_RGB_dB"])), []

    setting = [draw(st.sampled_from(SETTINGS))] * draw(st.booleans())
    is_empty = draw(st.integers(0, 3)) == 0 and separator != " "
    names = [*(["image"] * by_image), rate, quality, *setting, *extra]
    order = draw(st.permutations(range(len(names))))
    rows = []
    for number, points in enumerate(images):
        for place, (bpp, psnr) in enumerate(points):
            cells = [*([f"kodim{number:02}.png"] * by_image), draw(numbers(bpp, comma)), draw(numbers(psnr, comma)),
                     *(["" if is_empty else str(37 - place)] * len(setting)),
                     *(draw(st.sampled_from(CELLS)) for _ in extra)]
            rows.append([cells[place] for place in order])
    if by_image:
        rows = draw(st.permutations(rows))
        if draw(st.booleans()):  # a line that sums the others up, with whatever figures
            cells = ["average", "9", "99", *(["1"] * len(setting + extra))]
            rows = [*rows, [cells[place] for place in order]]

    text = draw(spelled_lines([[names[place] for place in order], *rows], separator))
    content = text.encode(draw(st.sampled_from(ENCODINGS)))
    return Trial({f"curve{draw(st.sampled_from(SUFFIXES))}": content}, average(images), refusable=False)


@st.composite
def spelled_lines(draw: st.DrawFn, rows: list[list[str]], separator: str) -> str:
    """Lines of cells, with quotes, blanks, remarks and ends of lines as they may be."""
    joint = draw(st.sampled_from([separator, SEPARATORS[separator]]))
    quoted = separator != " " and joint == separator and draw(st.booleans())
    lines = [joint.join(f'"{cell}"' if quoted or separator in cell else cell for cell in row) for row in rows]
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(1, len(lines))), draw(st.sampled_from(COMMENTS)))
    if draw(st.booleans()) and draw(st.booleans()):
        lines.insert(0, draw(st.sampled_from(["sep=", "SEP="])) + separator if separator != " " else "# by us")
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    return end.join(lines) + draw(st.sampled_from([end, "", end + end]))


@st.composite
def objects(draw: st.DrawFn) -> Trial:
    """CompressAI's JSON, perhaps with a column that nobody asked for and that is wrong, or with single images."""
    images = draw(rate_points(draw(st.sampled_from([1, 1, 2, 3]))))
    expected = average(images)
    names = draw(st.sampled_from(BPP[:4])), draw(st.sampled_from(PSNR[:4]))
    wrong: list[Any] = [math.nan, None, "x", 20, [], -1]
    count = len(images[0])
    beside = {"none": [], "short": [("encoding_time", [1.5])], "times": [("encoding_time", [1.5] * count)],
              "wrong": [(draw(st.sampled_from(MS_SSIM)), [draw(st.sampled_from(wrong))] * count)]}
    columns = [*zip(names, expected.values()), *beside[draw(st.sampled_from(sorted(beside)))]]
    values = {"name": draw(st.sampled_from(["mine", "\ud800", ""])), "description": "ours",
              "results": dict(draw(st.permutations(columns)))}
    is_shuffled = len(images) > 1 and draw(st.booleans())
    if draw(st.booleans()):
        values["meta"] = draw(st.sampled_from(METAS))
    if len(images) > 1:
        entries = [{"image": f"{number}.png", names[0]: bpp, names[1]: psnr}
                   for number, points in enumerate(images) for bpp, psnr in points]
        values["per_image"] = draw(st.permutations(entries)) if is_shuffled else entries

    name = draw(st.sampled_from(["curve.json", "curve.JSON", "run#2.json"]))
    if draw(st.integers(0, 3)) == 0:
        return Trial({name: draw(wrong_texts(values)).encode()})
    text = json.dumps({key: values[key] for key in draw(st.permutations(list(values)))},
                      indent=draw(st.sampled_from([None, 2])))
    content = text.encode(draw(st.sampled_from(ENCODINGS)))
    return Trial({name: content}, expected, refusable=is_shuffled)  # which rate is of which point is then unknown


@st.composite
def row_files(draw: st.DrawFn) -> Trial:
    """Stored rows in any order, of which some were measured before with other results."""
    images = draw(rate_points(draw(st.integers(1, 3))))
    rows = [row(f"{number}.png", f"q{place}", bpp, psnr) for number, points in enumerate(images)
            for place, (bpp, psnr) in enumerate(points)]
    before = [replace(one, bpp=9.0, quality={"psnr": 99.0, "ms-ssim": 0.5}) for one in rows if draw(st.booleans())]
    lines = [one.to_json() for one in (*before, *draw(st.permutations(rows)))]
    name = draw(st.sampled_from(["rows.jsonl", "a#b.JSONL"]))
    return Trial({name: "\n".join((*lines, "")).encode()}, average(images), refusable=False)


@st.composite
def curves(draw: st.DrawFn) -> Trial:
    """A file whose points are known, or a damaged one."""
    trial = draw(st.one_of(tables(), tables(), objects(), row_files()))
    if draw(st.booleans()):
        return trial
    ((name, content),) = trial.files.items()
    return Trial({name: draw(damaged(content))})


def read(path: Path) -> Any:
    """Read a curve, and check what holds of any."""
    curve = read_source(str(path), ("psnr",))
    found = {"bpp": list(curve.bpp), "psnr": list(curve.points.on_curve("psnr") or ())}
    assert len(found["bpp"]) == len(found["psnr"]) > 0, "not one quality a rate"
    assert all(math.isfinite(value) for values in found.values() for value in values) and min(found["bpp"]) > 0
    if curve.images is None:
        require_no_invention(path, found)
    write_json(curve, path.parent / "again.json")
    again = read_curve_file(path.parent / "again.json", metrics=("psnr",)).points
    assert (again.bpp, again.on_curve("psnr")) == (curve.bpp, curve.points.on_curve("psnr")), "exported otherwise"

    order = sorted(range(len(curve.bpp)), key=curve.bpp.__getitem__)
    return {name: [values[place] for place in order] for name, values in found.items()}


def require_no_invention(path: Path, found: dict[str, list[float]]) -> None:
    """Every number of a curve that is no average stands in its file."""
    content = path.read_bytes()
    text = content.decode(json.detect_encoding(content), "replace")
    stand = {float(written.replace(",", ".")) for pattern in (NUMBER, re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?"))
             for written in pattern.findall(text) if re.search(r"\d", written) and written.count(".") < 2}
    assert {*found["bpp"], *found["psnr"]} <= stand, f"numbers that do not stand there: {found}"


CURVES = Generator("curves", curves(), read, 350)
