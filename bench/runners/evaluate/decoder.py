"""The decoder's process: requests in, replies out.

It knows nothing but the request: a codec specification and a file. A request is
``{"spec": {...}, "torch": null | {"threads": n, "deterministic": b}, "stream": null | path}``; without a file the codec
is built and kept for the next request. The reply is ``{"decode_s": s, "shape": [h, w, 3], "latents_crc": number | null,
"checked": b}``, followed by the pixels' bytes, or ``{}`` where there was no file, or ``{"kind": exception,
"message": text, "errno": number | null, "usable": b}``, which also says whether the process can decode another file.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import Codec, CodecSpec, Decoded, build_codec
from bench.common.errors import CodecError
from bench.runners.machine import configure_torch, free_gpu_memory, is_gpu_usable, keep_freed_memory, time_call


class KeptCodec:
    """The codec of the last request: weights are loaded once a unit, not once an image."""

    def __init__(self) -> None:
        self._text = ""
        self._codec: Codec | None = None

    def find(self, spec: dict[str, Any]) -> Codec:
        """Return the codec of ``spec``; the memory of one of another specification is free before it is built."""
        text = json.dumps(spec)
        if self._codec is None or self._text != text:
            self._codec = None
            free_gpu_memory()
            self._codec = build_codec(CodecSpec(**spec))
            self._text = text
        return self._codec


def answer_request(request: dict[str, Any], kept: KeptCodec) -> tuple[dict[str, Any], np.ndarray | None]:
    """Decode what ``request`` names; the seconds are from the file's bytes to 8-bit pixels."""
    try:
        if request["torch"] is not None:
            configure_torch(**request["torch"])
            keep_freed_memory()
        codec = kept.find(request["spec"])
        if request["stream"] is None:
            return {}, None

        stream = Path(request["stream"]).read_bytes()
        if hasattr(codec, "decode_checked"):
            decoded, decode_s = time_call(codec.decode_checked, stream)
        else:
            found, decode_s = time_call(codec.decode, stream)
            decoded = Decoded(found)
        pixels = decoded.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise CodecError(f"decoded {pixels.dtype} {pixels.shape}, not uint8 (H, W, 3)")
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        return {"kind": type(error).__name__, "message": str(error), "errno": number,
                "usable": is_gpu_usable()}, None
    reply = {"decode_s": decode_s, "shape": pixels.shape, "latents_crc": decoded.latents_crc,
             "checked": decoded.checked}
    return reply, np.ascontiguousarray(pixels)


def serve(connection: Connection) -> None:
    """Answer requests until the other side is gone."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, waiting), daemon=True).start()
    kept = KeptCodec()
    while True:
        reply, pixels = answer_request(waiting.get(), kept)
        connection.send(reply)
        if pixels is not None:
            connection.send_bytes(pixels.reshape(-1).data)


def _receive(connection: Connection, waiting: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass requests on; end the process at once when the other side is gone, even in mid-decode."""
    while True:
        try:
            waiting.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
