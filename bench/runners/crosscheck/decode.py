"""Decodes files in processes of one setting each, and says how each came out beside what its encoder expects."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from bench.codecs.base import CODECS, Decoded
from bench.codecs.learned_codec import LatentsMismatch
from bench.results.crosschecks import Crosscheck
from bench.results.decoding_settings import SETTINGS
from bench.results.rows import Provenance
from bench.runners.crosscheck.exchange import CodedFile, find_stream, read_picture
from bench.runners.crosscheck.plan import Origin, PlannedUnit
from bench.runners.crosscheck.processes import describe_unit
from bench.runners.crosscheck.settings import apply_setting
from bench.runners.evaluate.decoder_client import DECODER, IN_PROCESS, DecoderFailure, DecoderProcess
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess, NoAnswer, ProcessEnded
from bench.runners.evaluate.unit import Unit
from bench.runners.machine import code_version, describe_machine

DESCRIBE_TIMEOUT_S = 300  # operators may have to be compiled for the setting


class SettingServers:
    """A server of processes for each environment, started when it is first needed; a context manager.

    Args:
        modules: what they import before they fork.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        # Plugins are left to the processes themselves: what they do when they are imported may not be forked.
        own = () if os.environ.get("BENCH_PLUGINS") else (DECODER.partition(":")[0], describe_unit.__module__)
        self._modules = [*own, *modules]
        self._servers: dict[tuple[tuple[str, str], ...], ForkServer] = {}
        self._stack = ExitStack()

    def __enter__(self) -> SettingServers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def started(self) -> int:
        """How many run."""
        return len(self._servers)

    def find_server(self, setting: str) -> ForkServer:
        """Return the server that processes of ``setting`` are forked from."""
        environment = SETTINGS.get(setting).environment
        key = tuple(sorted(environment.items()))
        if key not in self._servers:
            self._servers[key] = self._stack.enter_context(ForkServer(self._modules, environment))
        return self._servers[key]


class FileDecoder:
    """Decodes files of one unit in a fresh process of one setting; a context manager.

    Args:
        folder: that holds the files.
    """

    def __init__(self, planned: PlannedUnit, origin: Origin, setting: str, folder: Path,
                 servers: SettingServers) -> None:
        self._unit = unit = apply_setting(planned.unit, setting)
        self._planned, self._origin, self._setting, self._folder = planned, origin, setting, folder
        server = servers.find_server(setting)
        self._provenance = _describe_process(unit, server.find_address())
        self._decoder = DecoderProcess(server)
        self._decoder.prepare(unit.spec, torch=unit.torch_options, timeout_s=unit.decode_timeout_s)

    def __enter__(self) -> FileDecoder:
        return self

    def __exit__(self, *exception: object) -> None:
        self._decoder.__exit__(*exception)

    def decode(self, file: CodedFile) -> Crosscheck:
        """Decode a file and return its row.

        Raises:
            BenchError: the file is not what the encoder wrote, or nothing more can be written.
        """
        stream, picture = find_stream(self._folder, file), read_picture(self._folder, file)
        row = _start_row(self._planned, self._origin, self._setting, file, self._provenance)
        try:
            decoded, _ = self._decoder.decode_checked(stream)
        except DecoderFailure as failure:
            differ = False if failure.kind == LatentsMismatch.__name__ else None  # what else is not known of latents
            return structs.replace(row, failure=failure.kind, latents_match=differ,
                                   reason=_describe_failure(failure, self._unit, stream))
        return structs.replace(row, **compare_decoding(decoded, picture, file.latents_crc))


def _describe_process(unit: Unit, address: str) -> Provenance:
    """Ask a process like the decoder's; where even that fails, what can be known without it."""
    process = ForkedProcess(address, f"{describe_unit.__module__}:{describe_unit.__name__}")
    process.send(unit)
    try:
        return process.receive(DESCRIBE_TIMEOUT_S)
    except (ProcessEnded, NoAnswer):
        device = unit.device if CODECS.get(unit.spec.codec).uses_torch else "cpu"
        return describe_machine(device, jobs=1, torch=None)
    finally:
        process.end()


def _start_row(planned: PlannedUnit, origin: Origin, setting: str, file: CodedFile,
               provenance: Provenance) -> Crosscheck:
    """What a row says before anything is decoded."""
    coded = planned.coded
    return Crosscheck(
        key=planned.keys[file.image], series=coded.series, dataset=planned.unit.dataset, image=file.image,
        image_sha256=file.image_sha256, name=coded.name, label=coded.label, point=coded.point,
        miniature=coded.miniature, exact=coded.exact, format=coded.format, stream_sha256=file.stream_sha256,
        encoder_setting=origin.setting, encoder_machine=origin.machine, decoder_setting=setting,
        provenance=provenance, code_version=code_version(),
        measured_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def _describe_failure(failure: DecoderFailure, unit: Unit, stream: Path) -> str:
    """What the decoder's error said in one line, without paths of this machine."""
    message = str(failure).removeprefix(IN_PROCESS)
    text = "; ".join(" ".join(line.split()) for line in message.splitlines() if line.strip())
    for path in (str(stream), *unit.spec.location.values()):
        text = text.replace(path, Path(path).name)
    return text


def compare_decoding(decoded: Decoded, picture: np.ndarray, latents_crc: int | None) -> dict[str, Any]:
    """Compare what was decoded with the encoder's picture and latents; return fields of a row.

    Args:
        picture: uint8 (H, W, 3).
        latents_crc: checksum of the encoder's latents; None where it doesn't tell.
    """
    told = latents_crc is not None and decoded.latents_crc is not None
    fields: dict[str, Any] = {
        "latents_match": decoded.latents_crc == latents_crc if told else None,
        "checked": decoded.checked if told else None,
    }
    if decoded.pixels.shape != picture.shape:
        sizes = ["x".join(map(str, image.shape[1::-1])) for image in (decoded.pixels, picture)]
        return {**fields, "reason": f"decoded as {sizes[0]} pixels, not {sizes[1]}"}

    differences = np.abs(picture.astype(np.int16) - decoded.pixels).max(axis=2)
    return {**fields, "decode_max_abs_difference": int(differences.max()), "pixels_total": differences.size,
            "pixels_differing": int(np.count_nonzero(differences))}
