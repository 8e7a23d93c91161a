"""The parent's side of the decoder process: start it, ask it, restart it after a crash or a hang."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import bench
from bench.codecs.base import CodecSpec
from bench.common.errors import CodecError
from bench.common.files import DiskFull, is_out_of_space

DECODE_TIMEOUT_S = 900.0  # includes building the codec; no decoder here takes minutes for one image


class DecoderFailure(CodecError):
    """The decoder process raised, crashed or hung; ``kind`` says which."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def describe_ending(status: int | None) -> str:
    """Return how a process ended, from its exit status: "status 3", "SIGKILL"."""
    if status is None or status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


class DecoderProcess:
    """Decodes files in a separate process that is told only the codec's specification.

    A context manager; the process is started by the first request and kept for the next ones.

    Args:
        spec: what the process builds its codec from.
        torch: arguments of ``configure_torch`` for codecs that use it; None keeps torch out of the process.
        timeout_s: seconds that one request may take.
    """

    def __init__(self, spec: CodecSpec, *, torch: dict[str, Any] | None = None,
                 timeout_s: float = DECODE_TIMEOUT_S) -> None:
        self._spec = asdict(spec)
        self._torch = torch
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._words = tempfile.TemporaryFile()  # standard error, to quote after a crash
        self._folder = tempfile.TemporaryDirectory(prefix="bench-decoded-")

    def __enter__(self) -> DecoderProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        self._words.close()
        self._folder.cleanup()

    def decode(self, stream: Path) -> tuple[np.ndarray, float]:
        """Decode a file; return the image, uint8 (H, W, 3), and the seconds that decoding took.

        Raises:
            DecoderFailure: the process raised an exception, died, or took longer than the timeout.
            DiskFull: the process could not write the pixels.
        """
        pixels = Path(self._folder.name) / "pixels.npy"
        request = {"spec": self._spec, "stream": str(stream), "pixels": str(pixels), "torch": self._torch}
        reply = self._ask(request)
        if "decode_s" not in reply:
            if is_out_of_space(reply["errno"]):
                raise DiskFull(self._folder.name)
            raise DecoderFailure(reply["kind"], f"in the decoder's process: {reply['message']}")
        image = np.load(pixels, allow_pickle=False)
        pixels.unlink()
        return image, reply["decode_s"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # they are pipes

        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = self._read_line(process.stdout.fileno())
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._crash(process.wait())
        return json.loads(line)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the process in a session of its own, so that it can be ended with all that it started."""
        root = str(Path(bench.__file__).resolve().parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._words.seek(0)
        self._words.truncate()
        return subprocess.Popen(
            [sys.executable, "-m", "bench.runners.evaluate.decoder"], start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def _read_line(self, output: int) -> bytes:
        """Read one line, or what came before the process' end."""
        deadline = time.monotonic() + self._timeout_s
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._stop()
                raise DecoderFailure("Timeout", f"the decoder process was ended after {self._timeout_s:g} s")
            piece = os.read(output, 1 << 16)
            if not piece:
                break
            line += piece
        return line

    def _crash(self, status: int) -> DecoderFailure:
        self._stop()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip().splitlines()
        last = " | ".join(word.strip() for word in words[-3:])
        text = f"the decoder process died ({describe_ending(status)})"
        return DecoderFailure("Crash", f"{text}: {last}" if last else text)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # a request that it never read
                if pipe is not None:
                    pipe.close()
