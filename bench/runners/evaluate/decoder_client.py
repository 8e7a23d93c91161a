"""The other side of the decoder's process: start it, ask it, replace it after a crash or a hang."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.codecs.base import CodecSpec, Decoded
from bench.common.errors import CodecError
from bench.common.files import DiskFull, is_out_of_space
from bench.common.temporary import temporary_file
from bench.runners.evaluate import DECODE_TIMEOUT_S
from bench.runners.evaluate.fork_server import ForkServer, find_address
from bench.runners.evaluate.forked_process import ForkedProcess, NoAnswer, ProcessEnded

DECODER = "bench.runners.evaluate.decoder:serve"
CRASH = "Crash"
IN_PROCESS = "in the decoder's process: "  # begins what an error there said


class DecoderFailure(CodecError):
    """The decoder process raised, crashed or hung; ``kind`` says which."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class DecoderProcess:
    """Decodes files in a separate process that is told only a codec's specification and a file.

    A context manager; the process is started by the first request and kept for the next ones, of other codecs too. The
    memory of a codec is free before the next one is built.

    Args:
        server: that the process is forked from, or its address; None starts one, which imports nothing in advance.

    Attributes:
        warmed: what the process has decoded in full; whoever asks it notes this, and it is empty after a restart.
    """

    def __init__(self, server: ForkServer | str | None = None) -> None:
        self._own_server = None
        if server is None:
            server = self._own_server = ForkServer()
        self._server = server
        self._process: ForkedProcess | None = None
        self._is_preparing = False  # whether a reply to that is still to come
        self.warmed: set[str] = set()

    def __enter__(self) -> DecoderProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        if self._own_server is not None:
            self._own_server.close()

    def prepare(self, spec: CodecSpec, *, torch: dict[str, Any] | None = None,
                timeout_s: float = DECODE_TIMEOUT_S) -> None:
        """Say what the next files are of, and have the codec built meanwhile; what goes wrong is told with a file.

        Args:
            torch: arguments of ``configure_torch`` for codecs that use it; None does not touch torch.
            timeout_s: seconds that one request may take.
        """
        if self._is_preparing or (self._process is not None and self._process.has_message):
            self._stop()  # nothing was decoded of the codec before, or the process is gone

        self._codec = {"spec": asdict(spec), "torch": torch}
        self._timeout_s = timeout_s
        self._send(None)
        self._is_preparing = True

    def decode(self, stream: Path) -> tuple[np.ndarray, float]:
        """Decode a file; return the image, uint8 (H, W, 3), and the seconds that decoding took.

        Raises:
            DecoderFailure, DiskFull: as of :meth:`decode_checked`.
        """
        decoded, decode_s = self.decode_checked(stream)
        return decoded.pixels, decode_s

    def decode_checked(self, stream: Path) -> tuple[Decoded, float]:
        """Decode a file; return what was decoded, and the seconds that it took.

        Raises:
            DecoderFailure: the process raised an exception, died, or took longer than the timeout.
            DiskFull: the codec could not write its own files.
        """
        self._await_codec()
        self._send(stream)
        reply = self._receive()
        if "decode_s" in reply:
            pixels = self._receive_pixels(reply["shape"])
            return Decoded(pixels, reply["latents_crc"], reply["checked"]), reply["decode_s"]

        if not reply["usable"]:
            self._stop()
        if is_out_of_space(reply["errno"]):
            raise DiskFull(tempfile.gettempdir())
        raise DecoderFailure(reply["kind"], f"{IN_PROCESS}{reply['message']}")

    def _await_codec(self) -> None:
        """Wait until the codec is built; a process that died before it got a file is replaced, whoever is to blame."""
        if self._is_preparing:
            self._is_preparing = False
            try:
                self._receive()
            except DecoderFailure as failure:
                if failure.kind != CRASH:
                    raise
        elif self._process is not None and self._process.has_message:
            self._stop()

    def _send(self, stream: Path | None) -> None:
        if self._process is None:
            self._output = temporary_file("decoder")  # what it prints, for after a crash
            self._process = ForkedProcess(find_address(self._server), DECODER, output=self._output.name)
        self._process.send({**self._codec, "stream": None if stream is None else str(stream)})

    def _receive(self) -> dict[str, Any]:
        assert self._process is not None
        try:
            return self._process.receive(self._timeout_s)
        except NoAnswer:
            self._stop()
            raise DecoderFailure("Timeout", f"the decoder process was ended after {self._timeout_s:g} s") from None
        except ProcessEnded as ended:
            raise self._crash(ended) from None

    def _receive_pixels(self, shape: tuple[int, ...]) -> np.ndarray:
        assert self._process is not None
        pixels = np.empty(shape, np.uint8)
        try:
            self._process.receive_into(pixels.reshape(-1))
        except ProcessEnded as ended:
            raise self._crash(ended) from None
        return pixels

    def _crash(self, ended: ProcessEnded) -> DecoderFailure:
        self._output.seek(0)
        words = self._output.read().decode(errors="replace").strip().splitlines()
        self._stop()
        last = " | ".join(word.strip() for word in words[-3:])
        text = f"the decoder process died ({ended})"
        return DecoderFailure(CRASH, f"{text}: {last}" if last else text)

    def _stop(self) -> None:
        process, self._process = self._process, None
        self._is_preparing = False
        self.warmed.clear()
        if process is not None:
            process.end()
            with suppress(FileNotFoundError):  # somebody tidied temporary files
                self._output.close()
