"""VTM, the VVC reference software, for those who have its binaries: all-intra, 4:4:4, two recipes.

``vtm-8bit`` feeds and reads 8-bit planes, as published figures do; ``vtm-10bit`` feeds and reads 10-bit
planes, which spares the encoder the rounding of colours to 8 bits. Both code with 10 bits internally, so they
are the same encoder with a different colour path.

VTM_ENCODER, VTM_DECODER and VTM_CONFIG say where the binaries are and the file ``encoder_intra_vtm.cfg`` that
comes with the source.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.codecs.classical import ClassicalCodec, RateParameter
from bench.codecs.colour import YCbCrFormat
from bench.codecs.planes import PlaneCodec
from bench.codecs.program import run_program
from bench.common.errors import CodecError, CodecUnavailable
from bench.common.temporary import temporary_folder

VARIABLES = {"encoder": "VTM_ENCODER", "decoder": "VTM_DECODER", "config": "VTM_CONFIG"}
HOW_TO_GET = (
    "build the VVC reference software from vcgit.hhi.fraunhofer.de/jvet/VVCSoftware_VTM"
    " (cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build -j), then set VTM_ENCODER to its"
    " EncoderAppStatic, VTM_DECODER to its DecoderAppStatic and VTM_CONFIG to its cfg/encoder_intra_vtm.cfg"
)
INTERNAL_DEPTH = 10
ENCODE_TIMEOUT_S = 4 * 3600.0
DECODE_TIMEOUT_S = 1800.0


def find_programs() -> dict[str, str]:
    """Absolute paths of the encoder, the decoder and the configuration, from the environment.

    Raises:
        CodecUnavailable: a variable is not set, or names no such file.
    """
    paths = {}
    for role, variable in VARIABLES.items():
        given = os.environ.get(variable, "")
        if not given:
            raise CodecUnavailable(f"VTM is not set up: {variable} is not set", HOW_TO_GET)

        found = shutil.which(given) if role != "config" else given
        if found is None or not Path(found).is_file():
            kind = "readable file" if role == "config" else "program"
            raise CodecUnavailable(f"VTM is not set up: {variable} names no {kind}", HOW_TO_GET)
        paths[role] = os.path.abspath(found)
    return paths


def find_missing() -> str | None:
    """Say what is missing here to run VTM and how to get it; None if nothing is."""
    try:
        find_programs()
    except CodecUnavailable as error:
        return str(error)
    return None


@functools.cache
def read_version(program: str) -> str:
    """Version in the line that VTM's programs print first: "VVCSoftware: VTM Encoder Version 22.2 [Linux]..."

    Raises:
        CodecUnavailable: the program prints no such line.
    """
    done = run_program([program], check=False, timeout_s=60)
    found = re.search(r"VTM (?:Encoder|Decoder) Version (\S+)", done.stdout.decode("utf-8", "replace"))
    if found is None:
        raise CodecUnavailable(f"{Path(program).name} does not say that it is VTM", HOW_TO_GET)
    return found.group(1)


class VtmCoder:
    """One frame of 4:4:4 planes by VTM (a :class:`bench.codecs.planes.PlaneCoder`)."""

    def __init__(self, paths: Mapping[str, str], layout: YCbCrFormat, qp: int) -> None:
        self._paths = paths
        self._layout = layout
        self._qp = qp

    def compress(self, planes: bytes, height: int, width: int) -> tuple[bytes, bytes | None]:
        depth = self._layout.depth
        command = [
            self._paths["encoder"], "-c", self._paths["config"],
            "-i", "source.yuv", "-b", "stream.bin", "-o", "reconstruction.yuv",
            "-wdt", str(width), "-hgt", str(height), "-fr", "1", "-f", "1", "-q", str(self._qp),
            f"--InputChromaFormat={self._layout.chroma}", f"--ChromaFormatIDC={self._layout.chroma}",
            f"--InputBitDepth={depth}", f"--InternalBitDepth={INTERNAL_DEPTH}", f"--OutputBitDepth={depth}",
            "--ConformanceWindowMode=1",  # pads to whole coding units and says so in the stream
        ]

        with temporary_folder("vtm") as folder:
            (folder / "source.yuv").write_bytes(planes)
            run_program(command, folder=folder, timeout_s=ENCODE_TIMEOUT_S)
            return _read_output(folder, "stream.bin", "encoder"), _read_output(folder, "reconstruction.yuv", "encoder")

    def decompress(self, stream: bytes, height: int, width: int) -> bytes:
        command = [self._paths["decoder"], "-b", "stream.bin", "-o", "decoded.yuv", "-d", str(self._layout.depth)]
        with temporary_folder("vtm") as folder:
            (folder / "stream.bin").write_bytes(stream)
            run_program(command, folder=folder, timeout_s=DECODE_TIMEOUT_S)
            return _read_output(folder, "decoded.yuv", "decoder")


def _read_output(folder: Path, name: str, program: str) -> bytes:
    """A file that a program must have written."""
    path = folder / name
    if not path.is_file() or path.stat().st_size == 0:
        raise CodecError(f"VTM's {program} ended without an error but wrote no {name}")
    return path.read_bytes()


def _name_version() -> str:
    """VTM and its configuration, with version and digest."""
    paths = find_programs()
    digest = hashlib.sha256(Path(paths["config"]).read_bytes()).hexdigest()
    return f"VTM {read_version(paths['encoder'])}, {Path(paths['config']).name} {digest[:16]}"


def _register(depth: int) -> None:
    """Add the codec with planes of ``depth`` bits."""
    layout = YCbCrFormat("444", depth)
    ClassicalCodec(
        name=f"vtm-{depth}bit", label=f"VTM ({layout})", colour=f"BT.709 full-range {layout}, rounded",
        rate=RateParameter("qp", "qp", (0, 63), (42, 37, 32, 27, 22)),
        facts={
            "chroma": "4:4:4", "input_bits": depth, "internal_bits": INTERNAL_DEPTH, "output_bits": depth,
            "frames": 1, "threads": 1, "file": "4 bytes with the image's size, Annex B stream",
        },
        build=lambda settings, qp: PlaneCodec(VtmCoder(find_programs(), layout, qp), layout),
        version=_name_version, missing=find_missing, seconds_per_megapixel=150.0,
    ).register()


_register(8)
_register(10)
