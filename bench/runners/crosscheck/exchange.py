"""A folder of coded files that another machine can decode: files, the encoder's pictures, and a manifest.

The files of the folder are called after their SHA-256, and the manifest (JSON) says of each which picture it is, what
coded it, and which latents the encoder wrote. It holds no weights and builds no codec: who decodes takes codecs of
their own, by name, and compares their identity. What is read here may come from anywhere, so that sizes are bounded
before anything is read, and nothing outside the folder is.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from PIL import Image

from bench.common.errors import BenchError, ImageError
from bench.common.files import disk_full_stops, reading, write_whole, writing
from bench.common.hashing import digest_json, sha256_of
from bench.datasets.images import image_size, read_rgb8
from bench.results.schema import Size, convert_values, parse_object
from bench.runners.evaluate.unit import LIBRARY_VERSIONS

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 1 << 26
MOST_STREAM_BYTES = 1 << 28  # more than the largest picture that is read takes as it is
MOST_PICTURE_BYTES = 1 << 29

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Crc = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Version = Annotated[int, msgspec.Meta(ge=1, le=255)]


class WrongExport(BenchError):
    """An exported folder, or one of its files, is not what an export writes."""


class CodedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One picture, coded.

    Attributes:
        image_sha256: of the original's file.
        stream_sha256: of the coded file, which is called after it.
        picture_sha256: of the PNG of the encoder's own reconstruction, which is called after it.
        latents_crc: checksum of the integer latents; None where the codec doesn't tell.
    """

    image: Text
    image_sha256: Sha256
    stream_sha256: Sha256
    picture_sha256: Sha256
    width: Size
    height: Size
    latents_crc: Crc | None


class CodedUnit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One codec at one rate point, and its files.

    Attributes:
        identity: of the series, see :class:`bench.runners.evaluate.unit.Series`.
        format: version of a learned codec's file; None for other codecs.
    """

    name: Text
    point: Text
    label: Text
    miniature: bool
    exact: bool
    format: Version | None
    identity: dict[str, Any]
    files: Annotated[tuple[CodedFile, ...], msgspec.Meta(max_length=100_000)]

    @property
    def series(self) -> str:
        """Digest of the identity, without versions of libraries, which may be others on another machine."""
        return digest_json({name: value for name, value in self.identity.items() if name not in LIBRARY_VERSIONS})


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an exported folder holds, and where it was made; ``threads`` are torch's there, None its own choice."""

    schema: Literal[1]
    dataset: Text
    encoder_machine: Text
    encoder_setting: Text
    code_version: Text
    units: Annotated[tuple[CodedUnit, ...], msgspec.Meta(max_length=10_000)]
    threads: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None


def store_coded(folder: Path, stream: bytes, picture: np.ndarray) -> tuple[str, str]:
    """Write a coded file and the picture that its encoder expects; return their SHA-256.

    Raises:
        DiskFull: there is no space.
        OSError: they can't be written for another reason.
    """
    with disk_full_stops(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stream_sha256 = hashlib.sha256(stream).hexdigest()
        write_whole(stream_path(folder, stream_sha256), stream)

        temporary = folder / "picture.tmp"
        Image.fromarray(picture).save(temporary, "PNG", compress_level=1)
        picture_sha256 = sha256_of(temporary)
        os.replace(temporary, picture_path(folder, picture_sha256))
    return stream_sha256, picture_sha256


def stream_path(folder: Path, sha256: str) -> Path:
    """Where a coded file is."""
    return folder / f"{sha256}.bin"


def picture_path(folder: Path, sha256: str) -> Path:
    """Where an encoder's picture is."""
    return folder / f"{sha256}.png"


def find_stream(folder: Path, file: CodedFile) -> Path:
    """Return where the coded file of ``file`` is, once its size and digest are known to be right.

    Raises:
        WrongExport: it is missing, no plain file, too large, or another one.
    """
    return _find_checked(stream_path(folder, file.stream_sha256), file.stream_sha256, MOST_STREAM_BYTES)


def read_picture(folder: Path, file: CodedFile) -> np.ndarray:
    """Read the picture that the encoder expects of ``file``.

    Raises:
        WrongExport: it is missing, no plain file, too large, another one, or no such picture.
    """
    path = _find_checked(picture_path(folder, file.picture_sha256), file.picture_sha256, MOST_PICTURE_BYTES)
    try:
        if image_size(path) != (file.width, file.height):
            raise WrongExport(f"{path} is not of {file.width}x{file.height} pixels, as its manifest says")
        return read_rgb8(path)
    except ImageError as error:
        raise WrongExport(f"the encoder's picture can't be read: {error}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of ``folder``, whole or not at all.

    Raises:
        BenchError: it can't be written.
    """
    with writing(folder):
        write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of ``folder``.

    Raises:
        WrongExport: there is none, or it is no manifest; the message names the field.
    """
    path = folder / MANIFEST
    _require_plain_file(path, MOST_MANIFEST_BYTES)
    with reading(path):
        content = path.read_bytes()
    try:
        return convert_values(parse_object(content), Manifest)
    except ValueError as error:
        raise WrongExport(f"{path}: {error}", "it is not what this version of `crosscheck --export` writes") from None


def _find_checked(path: Path, sha256: str, most_bytes: int) -> Path:
    _require_plain_file(path, most_bytes)
    with reading(path):
        if sha256_of(path) != sha256:
            raise WrongExport(f"{path} is not the file that its name says", "copy the folder again")
    return path


def _require_plain_file(path: Path, most_bytes: int) -> None:
    """Refuse links, which may lead out of the folder, devices, and what is too large to be read."""
    try:
        about = path.lstat()
    except OSError as error:
        raise WrongExport(f"can't read {path}: {error.strerror}", "copy the folder again, whole") from None
    if not stat.S_ISREG(about.st_mode):
        raise WrongExport(f"{path} is no plain file", "an export holds files alone")
    if about.st_size > most_bytes:
        raise WrongExport(f"{path} has {about.st_size:,} bytes, and {most_bytes:,} are read at most")
