"""Sees the symbols that pass through CompressAI's coders, and decodes them safely.

Models that are built on CompressAI call its coder objects, from wherever they import them. While :func:`record_coding`
is active in a thread, these tell what they code, and decode with the suite's own coder, which reads the same streams
but never beyond their end.
"""

from __future__ import annotations

import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np
import torch
from compressai.ans import BufferedRansEncoder, RansDecoder, RansEncoder

from bench.common.errors import CodecError
from bench.models.latents import update_crc
from bench.operators import rans
from bench.operators.rans_plain import LARGEST_SYMBOL

Lists = tuple[Sequence[Sequence[int]], Sequence[int], Sequence[int]]  # cdf, lengths, offsets


class CodingRecord:
    """What coders coded while they were watched: for each stream the CRC-32 of its symbols.

    Encoder and decoder may code a stream in other pieces, and streams in another order; both see the same streams.
    """

    def __init__(self) -> None:
        self._crcs: dict[bytes, set[int]] = defaultdict(set)
        self._encoders: dict[int, tuple[object, int]] = {}  # with the object, so that no other one gets its id
        self._decoders: dict[int, tuple[object, _StreamDecoder]] = {}
        self._tables: tuple[Lists, rans.CodingTables] | None = None

    def latents_crc(self, streams: Sequence[bytes]) -> int | None:
        """Compute the checksum of an image's symbols.

        Args:
            streams: of the image, in the order in which its file holds them.

        Returns:
            A CRC-32, or None where a stream was not coded by CompressAI's coders.
        """
        if any(stream not in self._crcs for stream in streams):
            return None
        parts = [crc for stream in streams for crc in sorted(self._crcs[stream])]
        return zlib.crc32(b"".join(crc.to_bytes(4, "little") for crc in parts))

    def finish(self) -> None:
        """Take over what decoders read piece by piece, each to its stream's end.

        Raises:
            StreamError: a stream goes on.
        """
        for _, decoder in self._decoders.values():
            self._crcs[decoder.stream].add(decoder.finish())
        self._decoders.clear()

    def encode_whole(self, encode: Callable, coder: object, symbols: Sequence[int], *others: Any) -> bytes:
        """``RansEncoder.encode_with_indexes``: all of a stream."""
        crc = update_crc(0, _check_symbols(symbols))
        stream = encode(coder, symbols, *others)
        self._crcs[stream].add(crc)
        return stream

    def encode_part(self, encode: Callable, coder: object, symbols: Sequence[int], *others: Any) -> None:
        """``BufferedRansEncoder.encode_with_indexes``: a part of a stream."""
        _, crc = self._encoders.get(id(coder), (coder, 0))
        self._encoders[id(coder)] = coder, update_crc(crc, _check_symbols(symbols))
        encode(coder, symbols, *others)

    def flush(self, flush: Callable, coder: object) -> bytes:
        """``BufferedRansEncoder.flush``: the stream of all parts."""
        stream = flush(coder)
        _, crc = self._encoders.pop(id(coder), (coder, 0))
        self._crcs[stream].add(crc)
        return stream

    def decode_whole(self, _: Callable, coder: object, stream: bytes, rows: Sequence[int], *lists: Any) -> list[int]:
        """``RansDecoder.decode_with_indexes``: all of a stream."""
        decoder = _StreamDecoder(stream)
        symbols = decoder.decode(rows, self._find_tables(lists))
        self._crcs[stream].add(decoder.finish())
        return symbols

    def set_stream(self, _: Callable, coder: object, stream: bytes) -> None:
        """``RansDecoder.set_stream``: parts of it follow."""
        if id(coder) in self._decoders:
            before = self._decoders[id(coder)][1]
            self._crcs[before.stream].add(before.finish())
        self._decoders[id(coder)] = coder, _StreamDecoder(stream)

    def decode_part(self, _: Callable, coder: object, rows: Sequence[int], *lists: Any) -> list[int]:
        """``RansDecoder.decode_stream``: a part of a stream."""
        if id(coder) not in self._decoders:
            raise CodecError("the model decodes from a coder without a stream")
        return self._decoders[id(coder)][1].decode(rows, self._find_tables(lists))

    def _find_tables(self, lists: Any) -> rans.CodingTables:
        """Tables of lists; those of the last call are kept, for models that decode one position after another."""
        if self._tables is None or any(one is not other for one, other in zip(lists, self._tables[0])):
            cdf, *others = lists
            rows = torch.stack([_to_tensor(row) for row in cdf])
            self._tables = lists, rans.CodingTables(rows, *map(_to_tensor, others))
        return self._tables[1]


class _StreamDecoder:
    """Decodes a stream in pieces, each under tables of its own, and sums up the symbols."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self._crc = 0
        self._tables: rans.CodingTables | None = None
        self._decoder: rans.Decoder | None = None

    def decode(self, rows: Sequence[int], tables: rans.CodingTables) -> list[int]:
        if self._decoder is None:
            self._decoder = rans.Decoder(self.stream, tables)
        elif tables is not self._tables:
            self._decoder.use_tables(tables)
        self._tables = tables
        symbols = self._decoder.decode(_to_tensor(rows))
        self._crc = update_crc(self._crc, symbols)
        return symbols.tolist()

    def finish(self) -> int:
        """Check that the stream is read to its end; return the CRC-32 of its symbols."""
        if self._decoder is not None:
            self._decoder.finish()
        return self._crc


_ACTIVE: ContextVar[CodingRecord | None] = ContextVar("record of coding", default=None)
WATCHED: dict[tuple[type, str], Callable] = {
    (RansEncoder, "encode_with_indexes"): CodingRecord.encode_whole,
    (BufferedRansEncoder, "encode_with_indexes"): CodingRecord.encode_part,
    (BufferedRansEncoder, "flush"): CodingRecord.flush,
    (RansDecoder, "decode_with_indexes"): CodingRecord.decode_whole,
    (RansDecoder, "set_stream"): CodingRecord.set_stream,
    (RansDecoder, "decode_stream"): CodingRecord.decode_part,
}


def _watch(owner: type, name: str, told: Callable) -> None:
    """Let a method of a coder tell the thread's record; without one it does what it did."""
    method = getattr(owner, name)

    @wraps(method)
    def call(coder: object, *arguments: Any) -> Any:
        record = _ACTIVE.get()
        return method(coder, *arguments) if record is None else told(record, method, coder, *arguments)

    setattr(owner, name, call)


for (_owner, _name), _told in WATCHED.items():  # once a process: threads that come and go must not undo each other
    _watch(_owner, _name, _told)


@contextmanager
def record_coding() -> Iterator[CodingRecord]:
    """Record what CompressAI's coders code in this thread.

    Yields:
        The record; ``latents_crc`` is for afterwards.

    Raises:
        StreamError: a decoder left a part of its stream unread.
    """
    record = CodingRecord()
    token = _ACTIVE.set(record)
    try:
        yield record
        record.finish()
    finally:
        _ACTIVE.reset(token)


def _check_symbols(symbols: Sequence[int]) -> torch.Tensor:
    """Symbols as the decoder will take them."""
    values = _to_tensor(symbols)
    if len(values) and max(-int(values.min()), int(values.max())) > LARGEST_SYMBOL:
        raise CodecError(f"a latent is not finite, or beyond {LARGEST_SYMBOL} quantisation steps")
    return values


def _to_tensor(numbers: Sequence[int]) -> torch.Tensor:
    """A list as int32, by the quickest way there is."""
    return torch.from_numpy(np.frombuffer(array("i", numbers), np.int32))
