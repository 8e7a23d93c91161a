"""Plots: the same curves give the same bytes, and what is drawn is readable and says what it is."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.curves.anchors.curve_files import read_curve_file
from bench.curves.rd_curve import Points, RDCurve
from bench.reports.page.canvas import render_figure
from bench.reports.page.figures import COLUMN, WIDE
from bench.reports.rate.coverage import Coverage
from bench.reports.rate.curves import ANCHOR, IMPORTED, MEASURED, PUBLISHED, ReportCurve
from bench.reports.rate.plots import FULL_RATE_BPP, MOST_CURVES, find_low_rate_limit, plot_rd_curves, styles_of

RATES = (0.1, 0.25, 0.5, 1.0)
COVERAGE = Coverage("kodak", "Kodak", 24, 24, 0, 0, False)


def make_curve(label: str, origin: str = MEASURED, scale: float = 1.0, **values) -> ReportCurve:
    rate = tuple(scale * rate for rate in RATES)
    quality = tuple(36 + 6 * float(np.log2(rate)) for rate in RATES)
    data = RDCurve("kodak", label, label, Points(rate, {"psnr": quality}), images=values.pop("images", 24))
    return ReportCurve(data, "psnr", origin, **values)


CURVES = [
    make_curve("Learned (miniature)", learned=True),
    *(make_curve(f"Codec {n}", scale=1 + n / 8) for n in range(8)),
    make_curve("VTM 22.2 intra (8-bit 4:4:4 planes)", ANCHOR, 0.7),
    make_curve("Other (published)", PUBLISHED, 0.6),
]


def plot(curves=CURVES, coverage=COVERAGE, limit=None):
    return plot_rd_curves("rd_psnr", curves, coverage, styles_of(curves), limit)


def draw(curves=CURVES, layout=COLUMN, coverage=COVERAGE, kind="png"):
    return render_figure(plot(curves, coverage), layout, kind)


def read_pixels(*arguments):
    return np.asarray(Image.open(io.BytesIO(draw(*arguments))).convert("RGB"))


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_same_curves_give_the_same_bytes(kind):
    assert draw(kind=kind) == draw(kind=kind)


def test_no_date_and_no_program_in_the_files():
    text = draw(kind="svg")
    assert b"<dc:date>" not in text and b"<dc:creator>" not in text
    assert b"Date" not in draw(kind="pdf") and not Image.open(io.BytesIO(draw())).text


def test_colours_of_lines_are_exact_and_those_of_edges_nearly():
    """A picture by a palette, against the same canvas in all its colours."""
    figure = plot()
    drawn = []
    spied = replace(figure, draw=lambda *arguments: drawn.append(figure.draw(*arguments)) or drawn[0])
    pixels = np.asarray(Image.open(io.BytesIO(render_figure(spied, WIDE))).convert("RGB")).astype(int)
    full = np.asarray(drawn[0].canvas.buffer_rgba())[..., :3].astype(int)
    error = abs(pixels - full).max(axis=-1)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 256 < len(np.unique(full.reshape(-1, 3), axis=0))
    assert error.mean() < 0.3 and (error > 32).mean() < 1e-3
    for style in styles_of(CURVES).values():
        exact = [int(style.colour[place:place + 2], 16) for place in (1, 3, 5)]
        assert not error[(full == exact).all(axis=-1)].any()


def test_figure_is_drawn_anew_when_anything_it_shows_changes():
    moved = [replace(CURVES[0], data=replace(CURVES[0].data, points=Points(
        tuple(1.001 * rate for rate in RATES), CURVES[0].data.points.quality))), *CURVES[1:]]
    others = [plot(moved), plot(CURVES[1:]), plot(limit=0.5), plot(coverage=replace(COVERAGE, title="Kodak, again")),
              plot(coverage=replace(COVERAGE, images=23))]
    digests = {figure.digest for figure in (plot(), *others)}
    assert len(digests) == 1 + len(others) and plot().digest in digests


def test_single_images_that_are_not_drawn_do_not_count():
    points = CURVES[0].data.points
    same = [replace(CURVES[0], data=replace(CURVES[0].data, per_image={"a.png": points})), *CURVES[1:]]
    assert plot(same).digest == plot().digest


def test_what_is_not_plain_data_is_refused():
    with pytest.raises(TypeError, match="plain data"):
        _ = replace(plot(), data=object()).digest


@pytest.mark.parametrize(("layout", "inches"), [(COLUMN, 3.4), (WIDE, 7.0)])
def test_size_is_that_of_a_page(layout, inches):
    width = read_pixels(CURVES, layout).shape[1]
    assert width == pytest.approx(inches * layout.dpi, abs=1)


LONG = [make_curve("VTM 17.0 intra (published by somebody's author)", ANCHOR),
        *(make_curve(f"{name} (published)", PUBLISHED) for name in ("HPCM-Base", "Another codec"))]


@pytest.mark.parametrize("curves", [CURVES, LONG])
@pytest.mark.parametrize("layout", [COLUMN, WIDE])
def test_nothing_touches_the_border(layout, curves):
    coverage = Coverage("clic2020", "CLIC 2020 professional validation", 1, 41, 1, 0, False, "CLIC 2020 prof.")
    pixels = read_pixels(curves, layout, coverage)
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 255


def test_smallest_text_is_readable_in_a_column():
    sizes = [float(size) for size in re.findall(r"scale\(([0-9.]+) -", draw(kind="svg").decode())]
    assert min(sizes) * 100 >= 5.5  # matplotlib scales glyphs of 100 units to points


def test_curves_are_told_apart_without_colour():
    styles = styles_of(CURVES)
    assert len({(style.marker, style.line) for style in styles.values()}) == len(CURVES)
    assert len({(style.colour, style.marker, style.filled) for style in styles.values()}) == len(CURVES)


def test_measured_is_solid_and_published_is_broken():
    styles = styles_of(CURVES)
    for curve in CURVES:
        assert (styles[curve.label].line == "-") == (curve.origin == MEASURED)


def test_caption_says_convention_coverage_and_anchor():
    coverage = Coverage("clic2020", "CLIC", 1, 41, 0, 0, False)
    caption = plot(coverage=coverage).caption
    assert "1 of 41 images" in caption and "8-bit RGB" in caption and "VTM 22.2" in caption


def test_curve_over_fewer_images_is_marked():
    whole, part = (plot([make_curve("JPEG", images=images)]).digest for images in (24, 7))
    assert whole != part and plot([make_curve("JPEG, 7 images", images=24)]).digest == part


def test_points_that_are_not_shown_are_counted():
    curves = [make_curve("JPEG", scale=4.0)]  # 0.4, 1, 2, 4 bpp
    assert FULL_RATE_BPP == 2.0 and "1 point beyond" in plot(curves).caption
    assert "beyond" not in plot([make_curve("JPEG")]).caption


def test_zoom_only_where_miniatures_fill_a_corner():
    small = make_curve("Mini", scale=0.3, miniature=True)
    assert find_low_rate_limit([small, make_curve("JPEG", scale=2)]) == pytest.approx(0.39)
    assert find_low_rate_limit([make_curve("JPEG", scale=2)]) is None
    assert find_low_rate_limit([small]) is None


def test_number_of_curves_is_limited():
    many = [make_curve(f"Codec {n}") for n in range(MOST_CURVES + 5)]
    assert plot(many).digest == plot(many[:MOST_CURVES]).digest


UNDERSCORE = Path(__file__).parent / "curve_files" / "16-labels" / "underscore.json"


@pytest.mark.parametrize("label", [read_curve_file(UNDERSCORE).label, "cost $5 or $6", r"$\frac", "two\nlines"])
def test_any_label_is_in_the_legend(label):
    figure = plot([*CURVES, make_curve(label, IMPORTED)])
    drawn = []
    render_figure(replace(figure, draw=lambda *arguments: drawn.append(figure.draw(*arguments)) or drawn[0]), WIDE)
    shown = [text.get_text().strip("\u200a").replace(r"\$", "$") for text in drawn[0].legends[0].get_texts()]
    assert " ".join(label.split()) in shown and len(shown) == len(CURVES) + 1


def test_many_imported_curves_each_have_a_look():
    curves = [make_curve(f"imported {number}", IMPORTED) for number in range(20)]
    by_ssim = [replace(curve, metric="ms-ssim") for curve in curves[::-1]]
    styles = styles_of([*curves[:8], *by_ssim])
    assert len(styles) == 20 == len({(style.marker, style.line) for style in styles.values()})
