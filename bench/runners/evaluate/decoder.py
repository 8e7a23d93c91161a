"""The decoder's process, ``python -m bench.runners.evaluate.decoder``: requests in, replies out, one JSON a line.

It knows nothing but the request: a codec specification and a file. A request is
``{"spec": {...}, "stream": path, "pixels": path, "torch": null | {"threads": n, "deterministic": b}}``;
the decoded image goes to ``pixels`` as an uint8 (H, W, 3) ``.npy`` file. The reply is ``{"decode_s": s}``
or ``{"kind": exception, "message": text, "errno": number | null}``.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import Codec, CodecSpec, build_codec
from bench.common.errors import CodecError
from bench.runners.machine import configure_torch, keep_freed_memory, time_call


@lru_cache(maxsize=1)  # weights are loaded once, not once an image
def _build_codec(spec: str) -> Codec:
    return build_codec(CodecSpec(**json.loads(spec)))


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """Decode what ``request`` names; the seconds are from the file's bytes to 8-bit pixels."""
    try:
        if request["torch"] is not None:
            configure_torch(**request["torch"])
            keep_freed_memory()
        codec = _build_codec(json.dumps(request["spec"]))
        pixels, decode_s = time_call(codec.decode, Path(request["stream"]).read_bytes())
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise CodecError(f"decoded {pixels.dtype} {pixels.shape}, not uint8 (H, W, 3)")
        with open(request["pixels"], "wb") as target:
            np.save(target, np.ascontiguousarray(pixels))
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        return {"kind": type(error).__name__, "message": str(error), "errno": number}
    return {"decode_s": decode_s}


def _requests(stream: TextIO, waiting: queue.SimpleQueue[str]) -> None:
    """Pass requests on; end the process at once when the other side is gone, even in mid-decode."""
    for line in stream:
        waiting.put(line)
    os._exit(0)


def main() -> None:
    """Serve until standard input ends. What libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_requests, args=(sys.stdin, waiting), daemon=True).start()
    while True:
        print(json.dumps(answer_request(json.loads(waiting.get()))), file=replies, flush=True)


if __name__ == "__main__":
    main()
