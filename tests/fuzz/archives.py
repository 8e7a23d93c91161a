"""Archives: zip and tar in their formats, with odd names, damaged anywhere, headers made to look right again."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.damage import damaged
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st

from bench.datasets.archives import extract_files

LIMITS = {"a.png": 100, "b.png": 100}
CONTENTS = {"a.png": b"first", "b.png": bytes(range(90))}
ODD_NAMES = ("c.png", "../a.png", "/a.png", "x/../a.png", "..\\a.png", "C:/a.png", "__MACOSX/a.png", "valid/._a.png",
             "valid/", "valid", "ä.png", "a" * 200 + ".png", "x/" * 60 + "c.png", " a.png", "a.png ", "A.PNG",
             "x\na.png")
PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress,
                                                "xz": lzma.compress}
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
HEADER = 512  # bytes of a tar's block
CHECKSUM = slice(148, 156)
TYPES = st.sampled_from(list(b"01234567LKxgXSDMVN\0"))


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """Names and contents: the wanted ones in some folder, others between them."""
    folder = draw(st.sampled_from(["", "valid/", "./", "x/y/", "f" * 120 + "/"]))
    wanted = [(folder + name, content) for name, content in CONTENTS.items()]
    others = [(name, b"other") for name in draw(st.lists(st.sampled_from(ODD_NAMES), max_size=3, unique=True))]
    return draw(st.permutations(wanted + others))


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """A whole zip file."""
    stream = io.BytesIO(draw(st.sampled_from([b"", b"#!/bin/sh\n"])))
    stream.seek(0, io.SEEK_END)
    methods = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(stream, "a") as bundle:
        for name, content in draw(members()):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = draw(methods)
            entry.create_system = draw(st.sampled_from([0, 3]))
            entry.external_attr = draw(st.sampled_from([0, (stat.S_IFREG | 0o644) << 16, 0o600 << 16]))
            bundle.writestr(entry, content)
        bundle.comment = draw(st.sampled_from([b"", b"by us", b"PK"]))
    return stream.getvalue()


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """A whole tar file that is not packed."""
    stream = io.BytesIO()
    headers = draw(st.sampled_from([{}, {"comment": "by us"}, {"mtime": "1.5", "uname": "ä"}]))
    with tarfile.open(fileobj=stream, mode="w", format=draw(st.sampled_from(FORMATS))) as bundle:
        for name, content in draw(members()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = len(content), headers
            try:
                bundle.addfile(entry, io.BytesIO(content))
            except ValueError:  # USTAR can't hold long names
                entry.name = name[-90:]
                bundle.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@st.composite
def damaged_tars(draw: st.DrawFn) -> bytes:
    """A tar file of which a header says something else, with its checksum mended, or whose bytes are damaged."""
    content = bytearray(draw(tars()))
    for _ in range(draw(st.integers(0, 2))):
        start = HEADER * draw(st.integers(0, len(content) // HEADER - 1))
        header = content[start : start + HEADER]
        field = draw(st.sampled_from(["size", "type", "name", "any"]))
        if field == "size":
            size = draw(st.sampled_from([0, 1, 511, 512, 1 << 20, 1 << 33]) | st.integers(0, 1 << 36))
            sizes = [b"%011o\0" % min(size, 8**11 - 1), b"\x80" + size.to_bytes(11, "big"), b"\xff" * 12,
                     b"-0000000001 "]
            header[124:136] = draw(st.sampled_from(sizes))
        elif field == "type":
            header[156] = draw(TYPES)
        elif field == "name":
            header[0:100] = draw(st.binary(max_size=100)).ljust(100, b"\0")
        else:
            header[:] = draw(damaged(bytes(header)))[:HEADER].ljust(HEADER, b"\0")
        content[start : start + HEADER] = mend(header)
    return bytes(content) if draw(st.booleans()) else draw(damaged(bytes(content)))


def mend(header: bytearray) -> bytearray:
    """A tar's header with the right checksum."""
    header[CHECKSUM] = b" " * 8
    header[CHECKSUM] = b"%06o\0 " % sum(header)
    return header


@st.composite
def archives(draw: st.DrawFn) -> Trial:
    """An archive under a name that tells nothing, and what it unpacks to where it is whole."""
    if draw(st.booleans()):
        content = draw(zips())
        if draw(st.integers(0, 3)):
            return Trial({"archive.zip": draw(damaged(content))})
        return Trial({"archive.zip": content}, as_texts(CONTENTS), refusable=False)

    pack = PACKERS[draw(st.sampled_from(list(PACKERS)))]
    case = draw(st.sampled_from(["whole", "inside", "inside", "outside"]))
    if case == "whole":
        return Trial({"archive.tar": pack(draw(tars()))}, as_texts(CONTENTS), refusable=False)
    content = pack(draw(damaged_tars() if case == "inside" else tars()))
    return Trial({"archive.tar": draw(damaged(content)) if case == "outside" else content})


def as_texts(files: dict[str, bytes]) -> dict[str, str]:
    return {name: content.hex() for name, content in files.items()}


def read(path: Path) -> Any:
    """Unpack an archive, and check that nothing but wanted files appeared, in their place."""
    folder = path.parent / "deep" / "out"
    folder.mkdir(parents=True)
    try:
        parts = extract_files(path, folder, LIMITS)
        assert all(part.parent == folder for part in parts)
    finally:
        appeared = {found for found in path.parent.rglob("*") if found not in (path, folder, folder.parent)}
        assert all(found.parent == folder and found.is_file() and not found.is_symlink() for found in appeared)
        assert {found.name for found in appeared} <= {f"{name}.part" for name in LIMITS}
        assert all(found.stat().st_size <= 100 for found in appeared)

    files = {part.name.removesuffix(".part"): part.read_bytes() for part in parts}
    if path.suffix == ".zip":  # which has checksums
        assert all(content in (*CONTENTS.values(), b"other") for content in files.values()), "contents of nobody"
    return as_texts(files)


ARCHIVES = Generator("archives", archives(), read, 300)
