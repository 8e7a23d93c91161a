"""A small real codec with faults on demand, registered in every process through ``BENCH_PLUGINS``.

It quantises samples and deflates them. The fault that a specification names happens on images of the
specification's ``width`` only. ``decode`` runs in the decoder's process alone, because ``encode`` hands out
its own reconstruction.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
import time
import traceback
import zlib
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from bench.codecs.base import CODECS, CodecEntry, CodecSpec, Encoding
from bench.common.errors import CheckpointError, CodecError

HEADER = struct.Struct(">HH")
FAULTY_WIDTH = 40
DEADLY_SIGNALS = {"kill": signal.SIGKILL, "segfault": signal.SIGSEGV}


class Deflate:
    def __init__(self, spec: CodecSpec) -> None:
        self.step = int(spec.point_settings["step"])
        self.fault = spec.settings.get("fault")
        self.log = spec.settings.get("log")
        self.delay_s = float(spec.settings.get("delay_s") or os.environ.get("DEFLATE_DELAY_S", "0"))
        if self.fault == "build":
            raise CheckpointError(f"{spec.location['checkpoint']}: the weights do not fit")
        if self.fault == "die building decoder" and any("evaluate/decoder.py" in frame.filename
                                                        for frame in traceback.extract_stack()):
            self._note("build")
            os._exit(5)
        if self.fault == "die building":
            self._note("build")
            os._exit(4)

    def encode(self, image: np.ndarray) -> Encoding:
        time.sleep(self.delay_s)
        self._note("encode")
        height, width = image.shape[:2]
        if "DEFLATE_RUN" in os.environ and width == FAULTY_WIDTH:
            end_run(int(os.environ["DEFLATE_RUN"]))
        fault = self.fault if width == FAULTY_WIDTH else None
        if fault == "encode":
            raise CodecError("will not have it")
        if fault == "memory":
            raise MemoryError
        if fault == "die":
            os._exit(3)
        if fault in DEADLY_SIGNALS:
            os.kill(os.getpid(), DEADLY_SIGNALS[fault])
        if fault == "disk":
            raise OSError(28, "No space left on device", "somewhere")
        quantised = image // self.step
        body = zlib.compress(quantised.tobytes())
        bits = 8.0 * len(body) * (2 if fault == "estimate" else 1)
        return Encoding(
            stream=HEADER.pack(width, height) + body, parts={"header": HEADER.size, "y": len(body)},
            padding=(1, 2, 3, 4), reconstruct=lambda: self._pixels(quantised), estimate_bits=lambda: bits,
        )

    def _note(self, what: str) -> None:
        """Note in the file "log" of the settings which process does what."""
        if self.log is not None:
            with open(self.log, "a") as log:
                print(what, os.getpid(), file=log)

    def decode(self, stream: bytes) -> np.ndarray:
        self._note("decode")
        width, height = HEADER.unpack_from(stream)
        if os.environ.get("DEFLATE_DEADLY_WIDTH") == str(width):
            os.kill(os.getpid(), signal.SIGKILL)
        samples = np.frombuffer(zlib.decompress(stream[HEADER.size:]), dtype=np.uint8)
        pixels = self._pixels(samples.reshape(height, width, 3))
        return self._faulty(pixels) if width == FAULTY_WIDTH else pixels

    def _faulty(self, pixels: np.ndarray) -> np.ndarray:
        if self.fault == "mismatch":
            pixels[3, 5, 1] ^= 2
        elif self.fault == "shape":
            return pixels[1:]
        elif self.fault in ("crash", "crash with server"):
            if self.fault != "crash":
                psutil.Process().parents()[1].kill()  # beyond the one that supervises this process
            os.abort()
        elif self.fault == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        elif self.fault == "crash when done":
            threading.Timer(0.1, os.abort).start()
        elif self.fault == "decode":
            raise CodecError("damaged")
        elif self.fault == "noise":
            print("a library that prints")
        return pixels

    def _pixels(self, quantised: np.ndarray) -> np.ndarray:
        return (quantised * self.step + self.step // 2).astype(np.uint8)


def end_run(number: int) -> None:
    """Kill this process, and a little later the one that runs the plan, as who kills all of a run does."""
    subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {number}"], start_new_session=True)
    os.kill(os.getpid(), signal.SIGKILL)


def identify(spec: CodecSpec) -> dict:
    version = os.environ.get("DEFLATE_VERSION", "1")
    if not version:
        raise CodecError("the program that says its version died (SIGKILL)")
    return {"codec_version": version, "revision": 1, "settings": dict(spec.settings)}


def spec(step: int = 8, **settings: str) -> CodecSpec:
    return CodecSpec("deflate", "deflate", f"s{step}", {"step": step}, settings,
                     {"checkpoint": "/somewhere/else/0.01.pth"})


def default_specs() -> list[CodecSpec]:
    settings = {"fault": os.environ["DEFLATE_FAULT"]} if "DEFLATE_FAULT" in os.environ else {}
    return [spec(4, **settings), spec(16, **settings)]


CODECS.add("deflate", CodecEntry(
    build=Deflate, identify=identify, default_specs=default_specs, label="Deflate",
    seconds_per_megapixel=3.0,
))
CODECS.add("absent", CodecEntry(
    build=Deflate, identify=identify, default_specs=lambda: [spec()], label="Absent",
    available=lambda: "its program is not here",
))


def environment(**values: str) -> dict[str, str]:
    """Return the environment of a process that knows these codecs."""
    here = str(Path(__file__).resolve().parent)
    paths = os.pathsep.join([here, str(Path(here).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "BENCH_PLUGINS": "faulty_codecs", "PYTHONPATH": paths, **values}


def write_images(folder: Path, sizes: list[tuple[int, int]], seed: int = 0) -> Path:
    """Write smooth random images of the given (width, height), and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for number, (width, height) in enumerate(sizes):
        coarse = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"image{number:02d}.png")
    return folder
