"""CompressAI's JSON and CSV: what is read, what is written, and what is refused with which words."""

from __future__ import annotations

import json

import pytest

from bench.common.errors import BenchError
from bench.curves.anchors.compressai_json import to_json, write_json
from bench.curves.anchors.curve_files import read_curve_file
from bench.curves.rd_curve import Points, RDCurve

POINTS = Points((0.1, 0.2), {"psnr": (30.0, 32.0), "ms-ssim": (0.9, 0.95)}, {}, (1.0, 2.0), (0.5, 0.6))


def test_what_is_written_is_read_back(tmp_path):
    meta = {"qp": [42, 37], "dataset": "kodak"}
    curve = RDCurve("kodak", "mine", "Mine", POINTS, "words", "paper", meta)
    write_json(curve, tmp_path / "new" / "mine.json")
    assert read_curve_file(tmp_path / "new" / "mine.json") == curve


def test_written_keys_are_compressais():
    data = to_json(RDCurve("kodak", "mine", "Mine", POINTS))
    assert set(data) == {"name", "description", "results"}
    assert set(data["results"]) == {"bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time"}
    assert "ms-ssim-rgb" not in to_json(RDCurve("", "", "", Points((0.1,), {"psnr": (30.0,)})))["results"]


@pytest.mark.parametrize("psnr", ["psnr-rgb", "psnr", "PSNR_RGB", "psnr_rgb_db"])
@pytest.mark.parametrize("ms_ssim", ["ms-ssim-rgb", "ms-ssim", "ms_ssim"])
def test_spellings(tmp_path, psnr, ms_ssim):
    results = {"bpp": [0.1, 0.2], psnr: [30, 32], ms_ssim: [0.9, 0.95], "psnr-yuv": ["passed over"]}
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"name": "x", "description": "", "results": results}))
    assert read_curve_file(path).points == Points((0.1, 0.2), {"psnr": (30.0, 32.0), "ms-ssim": (0.9, 0.95)})


def test_rgb_is_preferred(tmp_path):
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"results": {"bpp": [1], "psnr": [10], "psnr-rgb": [40]}}))
    curve = read_curve_file(path)
    assert curve.points.quality["psnr"] == (40.0,) and curve.label == "curve"


@pytest.mark.parametrize("text, said", [
    ("{", "is no JSON"),
    ("[]", "not a file of rate-distortion points"),
    ("{}", "not a file of rate-distortion points"),
    ('{"results": []}', "not a file of rate-distortion points"),
    ('{"results": {"psnr": [30]}}', "no bpp values"),
    ('{"results": {"bpp": [0.1], "vmaf": [90]}}', "no quality values"),
    ('{"results": {"bpp": 0.1, "psnr": [30]}}', "'bpp' is not a list"),
    ('{"results": {"bpp": [], "psnr": []}}', "'bpp' is not a list of numbers"),
    ('{"results": {"bpp": [0.1, 0.2], "psnr": [30]}}', "lists differ in length: bpp 2, 'psnr' 1"),
    ('{"results": {"bpp": [0.1], "psnr": ["30"]}}', "value 1, 'psnr': '30' is no number"),
    ('{"results": {"bpp": [0.1], "psnr": [NaN]}}', "value 1, 'psnr': nan is no finite number"),
    ('{"results": {"bpp": [0.1], "psnr": [true]}}', "value 1, 'psnr': True is no number"),
    ('{"results": {"bpp": [0], "psnr": [30]}}', "'bpp' must be positive"),
    ('{"results": {"bpp": [0.1], "ms-ssim": [14.2]}}', "MS-SSIM is linear here"),
    ('{"results": {"bpp": [0.1], "psnr": [30]}, "meta": 3}', "'meta' is not a mapping"),
    ('{"results": {"bpp": [0.1], "psnr": [30]}, "per_image": [3]}', "'per_image' is not a list of mappings"),
    ('{"results": {"bpp": [0.1], "psnr": [30]}, "per_image": [{"image": "a", "bpp": 0.1}]}', "a has no qual"),
])
def test_malformed_json_is_named(tmp_path, text, said):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=said) as caught:
        read_curve_file(path)
    assert "bad.json" in str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_unreadable_files(tmp_path, suffix):
    with pytest.raises(BenchError, match="No such file"):
        read_curve_file(tmp_path / f"none{suffix}")
    for content in (b"\xff\xfe\x00", b"bpp,psnr\n\xe9", b"bpp\0psnr\0\n"):
        (tmp_path / f"binary{suffix}").write_bytes(content)
        with pytest.raises(BenchError, match="can't read"):
            read_curve_file(tmp_path / f"binary{suffix}")


def test_csv(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("\ufeffqp,bpp,PSNR_RGB_dB,ms-ssim,remark\n42, 0.1,30,0.9,first\n\n37,0.2,32,0.95,\n")
    curve = read_curve_file(path, "kodak")
    assert curve.points == Points((0.1, 0.2), {"psnr": (30.0, 32.0), "ms-ssim": (0.9, 0.95)})
    assert curve.dataset == "kodak"


@pytest.mark.parametrize("text, said", [
    ("", "no bpp values"),
    ("rate,psnr\n1,2\n", "found: rate, psnr"),
    ("bpp,psnr\n", "'bpp' is not a list of numbers"),
    ("bpp,psnr\n0.1,30\n0.2,high\n", "line 3, 'psnr': 'high' is no number"),
    ("bpp,psnr\n0.1\n", "line 2, 'psnr': '' is no number"),
    ("bpp,psnr\n0.1,inf\n", "line 2, 'psnr': 'inf' is no number"),
])
def test_malformed_csv_is_named(tmp_path, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(BenchError, match=said):
        read_curve_file(path)
