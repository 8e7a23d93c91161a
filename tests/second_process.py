"""Files of tiny models decoded by a second process, as `evaluate` has them decoded."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from unittest import mock

import torch
from PIL import Image
from tiny_models import picture
from torch import nn

from bench.codecs.base import CodecSpec
from bench.models.checkpoints import write_float16
from bench.results.rows import Row
from bench.runners.evaluate.decoder_client import DecoderProcess
from bench.runners.evaluate.measure import run_unit
from bench.runners.evaluate.unit import Unit, UnitImage


class KeptDecoder(DecoderProcess):
    """One process for the models of many tests: each request names its codec anew, and a start takes seconds."""

    _kept: subprocess.Popen[bytes] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        if KeptDecoder._kept is None or KeptDecoder._kept.poll() is not None:
            KeptDecoder._kept = super()._start()
        return KeptDecoder._kept

    def _stop(self) -> None:
        self._process = None  # it ends when its input does, with the tests


def measure_with_second_process(model: nn.Module, name: str, options: dict, sizes: list[tuple[int, int]],
                                folder: Path) -> list[Row]:
    """Write a model's weights and pictures of ``sizes``, (width, height); return the rows of measuring them."""
    checkpoint = folder / "0.01.safetensors"
    write_float16(model, checkpoint, {})
    spec = CodecSpec("learned", name, "0.01", {"lambda": 0.01},
                     {"model": name, "options": options, "label": name, "miniature": True, "metric": "mse"},
                     {"checkpoint": str(checkpoint)})
    images = []
    for width, height in sizes:
        path = folder / f"{width}x{height}.png"
        Image.fromarray(picture(width, height)).save(path)
        images.append(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    threads = torch.get_num_threads()
    try:
        with mock.patch("bench.runners.evaluate.unit.DecoderProcess", KeptDecoder):
            return list(run_unit(Unit(spec, "set", None, tuple(images), threads=1)))
    finally:  # measuring sets torch's threads and algorithms
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
