"""What is checked of a decoded picture beside its quality: with the encoder's own, its digests, its predicted rate."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bench.codecs.base import Codec, Encoding
from bench.common.errors import CodecError
from bench.common.hashing import sha256_of_pixels
from bench.runners.evaluate.rates import rate_fields

T = TypeVar("T")
MATCHES = {"decode_matches": True, "decode_max_abs_difference": 0}


class Coded(NamedTuple):
    """A picture, its encoding and what the decoder's process made of the file, of ``bytes_total``."""

    original: np.ndarray
    encoding: Encoding
    decoded: np.ndarray
    bytes_total: int


class Checker:
    """Checks pictures on a thread of its own while they are scored on another one, each on one core.

    The encoder's own picture is made there too where one core makes it while the metrics are computed, as the first
    picture tells; else all threads make it afterwards. Nothing of it runs on when a picture is done: what comes next
    is timed. A context manager.

    Args:
        codec: that encoded.
        uses_torch: the codec runs through torch.
        has_core: there is a core for it; else it is done before scoring, and the comparison after it.
    """

    def __init__(self, codec: Codec, uses_torch: bool, has_core: bool = True) -> None:
        self._codec = codec
        self._threads = _count_threads() if uses_torch else 1
        self._thread = ThreadPoolExecutor(1)
        if uses_torch:
            self._keep_to_one_core()
        self._has_core = has_core
        self._compares_beside = None if has_core else False  # None: not known yet

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown(wait=False)  # it is idle, unless this process was told to end

    def check_beside(self, score: Callable[[], T], coded: Coded) -> tuple[T, dict[str, Any]]:
        """Return what ``score`` gives, and fields of a row: sizes, rates, digests.

        Where both pictures were found to be the same meanwhile, the fields say that too.

        Raises:
            CodecError: the sizes of streams or pictures do not agree.
        """
        checking = self._thread.submit(self._check, coded)
        if not self._has_core:
            wait([checking])
        start = time.perf_counter()
        try:
            score_given = score()
        except Exception:
            wait([checking])
            raise
        wait([checking])
        self._scoring_s = time.perf_counter() - start
        return score_given, checking.result()

    def compare(self, coded: Coded) -> dict[str, Any]:
        """Return fields of a row that say whether the decoder's picture is the encoder's own; call it after scoring.

        Raises:
            CodecError: the sizes of the pictures do not agree.
        """
        start = time.perf_counter()
        comparison = compare_with_encoder(self._codec, coded.encoding, coded.decoded)
        if self._compares_beside is None:
            self._compares_beside = self._threads * (time.perf_counter() - start) < self._scoring_s
        return comparison

    def _check(self, coded: Coded) -> dict[str, Any]:
        height, width = coded.original.shape[:2]
        fields = {
            "stream_sha256": hashlib.sha256(coded.encoding.stream).hexdigest(),
            "pixels_sha256": sha256_of_pixels(coded.original),
            "reconstruction_sha256": sha256_of_pixels(coded.decoded),
            **rate_fields(coded.encoding, coded.bytes_total, width * height),
        }
        if self._compares_beside and compare_with_encoder(self._codec, coded.encoding, coded.decoded) == MATCHES:
            return {**fields, **MATCHES}
        return fields

    def _keep_to_one_core(self) -> None:
        from torch import get_num_threads, set_num_threads

        self._thread.submit(set_num_threads, 1).result()
        self._thread.submit(get_num_threads).result()  # from here on the thread has a number of its own
        set_num_threads(self._threads)


def _count_threads() -> int:
    from torch import get_num_threads

    return get_num_threads()


def compare_with_encoder(codec: Codec, encoding: Encoding, decoded: np.ndarray) -> dict[str, Any]:
    """Return fields of a row that say whether the decoder's picture is the encoder's own.

    Raises:
        CodecError: it is of another size.
    """
    own = encoding.expect()
    if own is not None and np.array_equal(own, decoded):
        return MATCHES

    own = encoding.reconstruct()
    if own is None:
        own = codec.decode(encoding.stream)
    if own.shape != decoded.shape:
        raise CodecError(f"the encoder's own image is {own.shape}, the decoder's {decoded.shape}")
    difference = int(np.abs(own.astype(np.int16) - decoded).max())
    return {"decode_matches": difference == 0, "decode_max_abs_difference": difference}
