"""The catalogue datasets.yaml: what it says, and how mistakes in it are reported."""

import json
from pathlib import Path

import pytest

from bench.common.errors import ConfigurationError
from bench.datasets import load_catalogue

GOOD = """\
birds:
  title: Birds
  licence: CC0
  citation: nobody
  urls: ["http://example.org/{name}"]
  images:
    - name: a1.png
      sha256: """ + "a" * 64 + """
      size: 12
"""


def load(tmp_path, text):
    path = tmp_path / "datasets.yaml"
    path.write_text(text)
    return load_catalogue(path)


def test_shipped_sets():
    catalogue = load_catalogue()
    assert {name: len(spec.images) for name, spec in catalogue.items()} == {
        "kodak": 24, "clic2020": 41, "tecnick": 100, "sample": 3}
    for spec in catalogue.values():
        assert spec.licence and spec.citation and spec.title
        assert spec.addresses or spec.package
    for name in ("kodak", "sample"):
        assert all(image.sha256 and image.size for image in catalogue[name].images)
    assert [image.name for image in catalogue["kodak"].images] == [f"kodim{n:02}.png" for n in range(1, 25)]
    upright = {f"kodim{n:02}.png" for n in (4, 9, 10, 17, 18, 19)}
    for image in catalogue["kodak"].images:
        assert (image.width, image.height) == ((512, 768) if image.name in upright else (768, 512))
    assert {image.name for image in catalogue["tecnick"].images} == {
        f"RGB_OR_1200x1200_{n:03}.png" for n in range(1, 101)}
    assert all((image.width, image.height) == (1200, 1200) for image in catalogue["tecnick"].images)


def test_addresses_of_an_image():
    kodak = load_catalogue()["kodak"]
    sources = kodak.image_sources(kodak.images[6])
    assert sources[0].url == "http://r0k.us/graphics/kodak/kodak/kodim07.png"
    assert sources[1].url.endswith("/kodak/7.png")
    assert {source.sha256 for source in sources} == {kodak.images[6].sha256}


def test_clic_names_are_the_published_ones():
    """Pixel counts of the published names, listed beside the local copies of the sets."""
    path = Path(__file__).parents[2] / "shared" / "data" / "clic2020_pro_valid_names.tsv"
    if not path.is_file():
        pytest.skip("../shared/data is not here")
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    listed = {f"{name}.png": int(pixels) for name, pixels in rows}
    assert {image.name: image.pixels for image in load_catalogue()["clic2020"].images} == listed


def test_a_good_file_is_read(tmp_path):
    spec = load(tmp_path, GOOD)["birds"]
    assert spec.images[0].size == 12 and spec.folders == ("birds",)


@pytest.mark.parametrize("line, old, new, says", [
    (3, "licence:", "license:", "unknown key 'license'"),
    (9, "size:", "bytes:", "unknown key 'bytes'"),
    (2, "title: Birds", "title: 3", "'title' must be text, got 3"),
    (9, "size: 12", "size: twelve", "'images[0].size' must be a positive integer"),
    (9, "size: 12", "size: true", "'images[0].size' must be a positive integer"),
    (7, "size: 12", "width: 12", "both width and height"),
    (8, "a" * 64, "a" * 63 + "g", "'images[0].sha256' must be 64"),
    (7, "a1.png", "../a1.png", "plain file name"),
    (7, "a1.png", "..", "plain file name"),
    (5, "http://example.org", "file:///etc", "http or https"),
    (5, "{name}", "{nam}", "{name} and {number}"),
    (5, "{name}", "{name.__class__.x}", "{name} and {number}"),
    (1, "birds:", "Big Birds:", "'name' must be small letters"),
    (1, "  title: Birds\n", "", "lacks 'title'"),
    (3, "licence: CC0", "title: CC0", "'title' stands twice"),
    (10, "size: 12\n", "size: 12\nbirds: {}\n", "'birds' stands twice"),
    (10, "size: 12\n", "size: 12\n    - name: a1.png\n", "'a1.png' stands twice"),
    (11, "size: 12\n", "size: 12\n    - [1\n", "expected"),
    (9, "size: 12", "size: !!python/object/apply:os.getcwd []", "python/object/apply:os.getcwd' is not used here"),
])
def test_mistakes_name_file_and_line(tmp_path, line, old, new, says):
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    assert f"{tmp_path / 'datasets.yaml'}:" in message and says in message
    found = int(message.split("datasets.yaml:")[1].split(":")[0])
    assert found == line
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["", "- a", "birds: 3", "birds: [", "\t", "*nowhere", "&a {b: *a}", "[" * 5000])
def test_what_is_no_catalogue_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match="datasets.yaml"):
        load(tmp_path, text)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        load_catalogue(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: \xe9")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_catalogue(tmp_path / "latin.yaml")


def test_json_is_yaml(tmp_path):
    """A catalogue written by a program may be JSON."""
    birds = {"title": "Birds", "licence": "CC0", "citation": "nobody", "images": [{"name": "a.png"}]}
    value = {"birds": birds}
    assert load(tmp_path, json.dumps(value))["birds"].images[0].name == "a.png"
