"""``python -m bench datasets``: output and exit status."""

import pytest
from birds import FILES, data, put  # noqa: F401 (data is a fixture)
from PIL import Image

from bench.cli import main


def test_list(data, capsys):
    (data / "kodak").mkdir(parents=True)
    (data / "kodak" / "kodim01.png").write_bytes(b"no image")
    assert main(["datasets", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 of 24" in lines[1] and "23 missing, 1 altered" in lines[1] and str(data / "kodak") in lines[1]
    assert "0 of 41" in lines[2] and "absent" in lines[2]
    assert lines[4].startswith("sample")


def test_verify(data, capsys):
    assert main(["datasets", "verify", "sample"]) == 0
    assert "verified    astronaut.png" in capsys.readouterr().out
    assert main(["datasets", "verify", "kodak"]) == 1
    assert "not here" in capsys.readouterr().out
    assert main(["datasets", "verify"]) == 1
    assert main(["datasets", "verify", "kodka"]) == 2
    assert "did you mean kodak" in capsys.readouterr().err


def test_verify_reads_images_whose_hash_is_not_published(data, capsys):
    folder = data / "tecnick"
    folder.mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (1200, 1200)).save(folder / f"RGB_OR_1200x1200_00{number}.png")
    damaged = bytearray((folder / "RGB_OR_1200x1200_002.png").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (folder / "RGB_OR_1200x1200_002.png").write_bytes(damaged)
    assert main(["datasets", "verify", "tecnick"]) == 1
    out = capsys.readouterr().out
    assert "unpinned    RGB_OR_1200x1200_001.png" in out
    assert "missing     RGB_OR_1200x1200_003.png" in out
    assert "RGB_OR_1200x1200_002.png  (" in out and "damaged" in out


def test_verify_of_a_folder(tmp_path, capsys):
    folder = put(tmp_path / "photos")
    assert main(["datasets", "verify", str(folder)]) == 0
    (folder / "bird2.png").write_bytes(FILES["bird2.png"][:-9])
    assert main(["datasets", "verify", str(folder)]) == 1
    assert "unreadable  bird2.png" in capsys.readouterr().out
    assert main(["datasets", "verify", str(tmp_path)]) == 2
    assert "holds no image" in capsys.readouterr().err


def test_fetch_command(data, capsys):
    assert main(["datasets", "fetch", "sample"]) == 0
    assert "3 images" in capsys.readouterr().out
    assert main(["datasets", "fetch", "nothing"]) == 2


def test_help_is_worth_reading(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["datasets", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "BENCH_DATA" in out and "datasets verify kodak" in out
