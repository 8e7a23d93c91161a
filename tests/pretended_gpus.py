"""GPUs that are not there, and a codec that says which of them its processes see; a plugin, named in ``BENCH_PLUGINS``.

It notes what the environment said when it was imported, and whether torch was imported before.
"""

from __future__ import annotations

import os
import sys

import faulty_codecs
import numpy as np

from bench.codecs.base import CODECS, CodecEntry, CodecSpec, Encoding
from bench.runners import machine

TORCH_CAME_FIRST = "torch" in sys.modules
SEEN = os.environ.get("CUDA_VISIBLE_DEVICES")


class Seeing(faulty_codecs.Deflate):
    def encode(self, image: np.ndarray) -> Encoding:
        self._note_gpu("encode")
        return super().encode(image)

    def decode(self, stream: bytes) -> np.ndarray:
        self._note_gpu("decode")
        return super().decode(stream)

    def _note_gpu(self, what: str) -> None:
        with open(os.environ["PRETENDED_GPU_LOG"], "a") as log:
            print(what, os.getpid(), SEEN, TORCH_CAME_FIRST, file=log)


def spec(step: int) -> CodecSpec:
    return CodecSpec("seeing", "seeing", f"s{step}", {"step": step}, {}, {"checkpoint": "/somewhere"})


CODECS.add("seeing", CodecEntry(build=Seeing, identify=faulty_codecs.identify, label="Seeing", uses_torch=True,
                                default_specs=list, seconds_per_megapixel=10.0))
if "PRETENDED_GPU_LOG" in os.environ:  # in a process of a worker, which ends
    named = machine.device_name
    machine.device_name = lambda device: "cuda: Pretended" if device == "cuda" else named(device)
