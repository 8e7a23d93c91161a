"""Archives that are hostile or damaged: nothing is written outside, nothing unwanted, nothing too large."""

import gzip
import io
import resource
import stat
import tarfile
import time
import zipfile

import pytest

from bench.common.errors import BenchError
from bench.datasets.archives import ArchiveError, extract_files

LIMITS = {"a.png": 100, "b.png": 100}


def make_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as bundle:
        for name, data in members:
            bundle.writestr(name, data)
    return path


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as bundle:
        for entry, data in members:
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
                entry.size = len(data)
            bundle.addfile(entry, io.BytesIO(data))
    return path


def unpack(archive, tmp_path, **options):
    """Unpack into a folder two levels down; return {file name: bytes} of everything that appeared."""
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    parts = extract_files(archive, folder, LIMITS, **options)
    appeared = set(tmp_path.rglob("*")) - before
    assert set(parts) == appeared
    assert all(path.parent == folder and not path.is_symlink() for path in appeared)
    return {path.name: path.read_bytes() for path in appeared}


GOOD = [("valid/a.png", b"first"), ("valid/c.png", b"not wanted"), ("__MACOSX/valid/a.png", b"fork"),
        ("valid/b.png", b"second")]


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_wanted_members_only(tmp_path, mode):
    archive = tmp_path / "archive"
    make_zip(archive, GOOD) if mode == "zip" else make_tar(archive, GOOD, mode)
    assert unpack(archive, tmp_path) == {"a.png.part": b"first", "b.png.part": b"second"}


def test_members_pattern(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("small/a.png", b"no"), ("TEST/full/a.png", b"yes")])
    assert unpack(archive, tmp_path, members="*full/*.png") == {"a.png.part": b"yes"}


@pytest.mark.parametrize("path", ["../a.png", "../../a.png", "x/../../a.png", "/a.png", "/tmp/a.png",
                                  "..\\a.png", "C:/a.png", "C:\\a.png", "//host/a.png"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_paths_that_lead_outside_are_skipped(tmp_path, make, path):
    archive = make(tmp_path / "archive", [(path, b"bad"), ("valid/b.png", b"good")])
    assert unpack(archive, tmp_path) == {"b.png.part": b"good"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
                                  tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_in_tar_are_skipped(tmp_path, kind):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    entry = tarfile.TarInfo("a.png")
    entry.type, entry.linkname = kind, str(secret)
    archive = make_tar(tmp_path / "a.tar.gz", [(entry, b""), ("b.png", b"good")])
    assert unpack(archive, tmp_path) == {"b.png.part": b"good"}
    assert secret.read_text() == "secret"


def test_links_in_zip_are_skipped(tmp_path):
    link = zipfile.ZipInfo("a.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", [(link, b"/etc/passwd"), ("b.png", b"good")])
    assert unpack(archive, tmp_path) == {"b.png.part": b"good"}


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs_are_refused(tmp_path, make):
    archive = make(tmp_path / "archive", [("a.png", bytes(50_000_000))])
    assert archive.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="100 bytes") as caught:
        unpack(archive, tmp_path)
    assert isinstance(caught.value, BenchError)
    assert not list((tmp_path / "deep" / "out").iterdir())


def test_bomb_whose_header_lies_is_refused(tmp_path):
    """The size in the zip's directory says 5 bytes, the data unpacks to many more."""
    archive = make_zip(tmp_path / "a.zip", [("a.png", bytes(5_000_000))])
    data = archive.read_bytes().replace((5_000_000).to_bytes(4, "little"), (5).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path)
    assert all(path.stat().st_size <= 100 for path in (tmp_path / "deep" / "out").iterdir())


def test_tar_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.datasets.archives.MAX_TOTAL_BYTES", 1000)
    archive = make_tar(tmp_path / "a.tar.gz", [("other", bytes(2000)), ("a.png", b"x")])
    with pytest.raises(ArchiveError, match="more than"):
        unpack(archive, tmp_path)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("x/a.png", b"1"), ("y/a.png", b"2")])
    with pytest.raises(ArchiveError, match="twice"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_cut_archive_is_refused_or_gives_whole_files(tmp_path, make):
    """A tar file may lack the padding behind its last member and still hold all of it."""
    noise = bytes((n * n * 7919 >> 5) % 256 for n in range(90))
    whole = make(tmp_path / "whole", [("a.png", noise)]).read_bytes()
    refused = 0
    for length in range(0, len(whole), 3):
        archive = tmp_path / f"cut{length}"
        archive.write_bytes(whole[:length])
        try:
            assert unpack(archive, tmp_path / str(length)) == {"a.png.part": noise}
        except ArchiveError as error:
            assert str(archive) in str(error)
            refused += 1
    assert refused > 0.8 * len(whole) / 3


def test_a_web_page_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_text("<html>not found</html>")
    with pytest.raises(ArchiveError, match="neither"):
        unpack(tmp_path / "a.zip", tmp_path)


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("a.png", b"data")])
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match="encrypted"):
        unpack(archive, tmp_path)


def header(kind, size, name="a.png"):
    """A member's header, as tarfile writes it, with a size of our choice."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


RECORDS = b"5 a=\n" * (1 << 20)
GIGABYTES = bytes(1 << 22)  # of zeros, which is all that is there of them
FLOODS = {
    "long name": header(tarfile.GNUTYPE_LONGNAME, 1 << 34) + GIGABYTES,
    "long link": header(tarfile.GNUTYPE_LONGLINK, 1 << 60) + GIGABYTES,
    "pax": header(tarfile.XHDTYPE, len(RECORDS)) + RECORDS,
    "pax for all": header(tarfile.XGLTYPE, 1 << 15) + RECORDS[:1 << 15],
    "many pax": (header(tarfile.XHDTYPE, 1 << 15) + RECORDS[:1 << 15] + header(tarfile.REGTYPE, 0)) * 600,
    "many long names": (header(tarfile.GNUTYPE_LONGNAME, 512) + b"x" * 512) * 5000,
    "sparse": header(tarfile.GNUTYPE_SPARSE, 0) + GIGABYTES,
    "large": header(tarfile.REGTYPE, 1 << 62) + GIGABYTES,
    "many": header(tarfile.REGTYPE, 0, "other") * 10_000,
    "backwards": header(tarfile.REGTYPE, -1024) * 3,
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("before", [b"", header(tarfile.REGTYPE, 1, "b.png") + bytes(512)])
def test_what_a_tar_announces_is_bounded_before_it_is_read(tmp_path, monkeypatch, kind, pack, before):
    monkeypatch.setattr("bench.datasets.archives.MAX_MEMBERS", 5000)
    archive = tmp_path / "a.tar"
    archive.write_bytes(pack(before + FLOODS[kind]))
    started, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveError, match=str(archive)):
        unpack(archive, tmp_path)
    assert time.process_time() - started < 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 200_000  # KiB


def test_an_error_without_words_is_named(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", [("a.png", b"data")])
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(ArchiveError, match="a.zip: can't be unpacked \\(MemoryError\\)"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize(("old", "new"), [(b"x/a.png", b"\0/a.png"), (b"x/a.png", b"x/a.\0ng"),
                                          (b"x/a.png", b"x/a.pn\0")])
def test_a_nul_in_a_zips_name_names_nothing(tmp_path, old, new):
    archive = make_zip(tmp_path / "a.zip", [("x/a.png", b"bad"), ("b.png", b"good")])
    archive.write_bytes(archive.read_bytes().replace(old, new))
    assert unpack(archive, tmp_path) == {"b.png.part": b"good"}
