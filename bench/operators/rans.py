"""Entropy coding from arrays: the streams of CompressAI's rANS coder, with tables taken as they are.

CompressAI's own coder takes Python lists, and converts all tables on every call. Where there is no compiler, Python's
whole numbers do; all write the same bytes.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.common.errors import CodecError
from bench.operators import rans_plain
from bench.operators.native import NativeOperator, c_arguments

CODER = NativeOperator("rans", "Entropy coding", "plain Python", {"cpu": Path(__file__).with_name("rans.cpp")})
WORD_BYTES = 4
BUCKETS = 256  # of the probability range, for each of which the decoder knows the first interval
HINT = "it is damaged, truncated, or was coded with another model or other weights"


class CodingTables(NamedTuple):
    """Tables of the entropy coder, int32.

    Attributes:
        cdf: cumulated probabilities in 2^-16, (rows, longest).
        lengths: entries of each row, (rows,).
        offsets: the symbol that each row starts at, (rows,).
    """

    cdf: Tensor
    lengths: Tensor
    offsets: Tensor


class StreamError(CodecError):
    """A stream is not what its symbols would be coded to: it is damaged, truncated, or of other tables."""


def encode(symbols: Tensor, rows: Tensor, tables: CodingTables) -> bytes:
    """Code integer-valued ``symbols`` (n,) with the rows ``rows`` (n,) of ``tables`` into one stream.

    Raises:
        CodecError: a symbol is beyond 2^24, or not finite.
        ValueError: a row is not in the tables, or a table has no room for one of its symbols.
    """
    symbols, rows = _int32(symbols), _int32(rows)
    given = [_int32(table) for table in tables]
    library = CODER.get("cpu")
    if library is None:
        failure, plain = rans_plain.encode(symbols.tolist(), rows.tolist(), *(table.tolist() for table in given))
        words, count = np.array(plain, "<u4"), failure or len(plain)
    else:
        words = np.empty(2 * len(symbols) + 2, "<u4")  # no symbol takes more than two
        count = _call(library.rans_encode, symbols, rows, len(symbols), *given, *given[0].shape,
                      torch.from_numpy(words.view("<i4")), len(words))

    if count == rans_plain.ROW_OUT_OF_RANGE:
        raise ValueError(f"a row of the coder's tables is not one of {len(tables[1])}")
    if count == rans_plain.NO_PROBABILITY:
        raise ValueError("the coder's tables give a symbol no probability")
    if count == rans_plain.SYMBOL_OUT_OF_RANGE:
        raise CodecError(f"a latent is not finite, or beyond {rans_plain.LARGEST_SYMBOL} quantisation steps")
    return words[:count].tobytes()


class Decoder:
    """Decodes one stream, in as many calls as it takes.

    Args:
        stream: what :func:`encode` wrote.
        tables: those it was coded with.
    """

    def __init__(self, stream: bytes, tables: CodingTables) -> None:
        self._is_whole = len(stream) % WORD_BYTES == 0
        words = np.frombuffer(stream, "<u4", len(stream) // WORD_BYTES)

        self._library = CODER.get("cpu")
        if self._library is None:
            self._plain = rans_plain.Decoder(words.tolist())
        else:
            self._words = torch.from_numpy(words.astype(np.int32))
            self._position, self._state = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        self.use_tables(tables)

    def use_tables(self, tables: CodingTables) -> None:
        """Go on with other tables.

        Raises:
            ValueError: a row of them has more than 65536 intervals.
        """
        cdf, lengths, offsets = self._tables = [_int32(table) for table in tables]
        if self._library is None:
            self._plain.use_tables(cdf.tolist(), lengths.tolist(), offsets.tolist())
            return

        # Made for each stream, in a tenth of a millisecond, so that they are never those of other tables.
        self._firsts = torch.empty(len(lengths), BUCKETS, dtype=torch.int16)
        if _call(self._library.rans_index, cdf, lengths, *cdf.shape, self._firsts):
            raise ValueError("a row of the coder's tables has more than 65536 intervals")

    def decode(self, rows: Tensor) -> Tensor:
        """Decode one symbol for each of ``rows`` (n,): int32 (n,).

        Raises:
            StreamError: the stream is at its end, or holds a symbol that no encoder writes.
            ValueError: a row is not in the tables.
        """
        return self._decode(_int32(rows))

    def _decode(self, rows: Tensor) -> Tensor:
        if self._library is None:
            failure, plain = self._plain.decode(rows.tolist())
            symbols = torch.tensor(plain, dtype=torch.int32)
        else:
            symbols = torch.empty(len(rows), dtype=torch.int32)
            failure = _call(self._library.rans_decode, self._words, len(self._words), self._position, self._state,
                            rows, len(rows), *self._tables, *self._tables[0].shape, self._firsts, symbols)

        if failure == rans_plain.ROW_OUT_OF_RANGE:
            raise ValueError(f"a row of the coder's tables is not one of {len(self._tables[1])}")
        if failure:
            raise StreamError("the stream ends too early" if failure == rans_plain.ENDS_TOO_EARLY
                              else "the stream holds a symbol that no encoder writes", HINT)
        return symbols

    def finish(self) -> None:
        """Check that all symbols are decoded: an encoder's last word and its first state are then reached.

        Raises:
            StreamError: the stream goes on.
        """
        self._decode(torch.empty(0, dtype=torch.int32))  # reads the state, where nothing was decoded
        if self._library is None:
            is_at_end = self._plain.is_at_end
        else:
            is_at_end = int(self._position) == len(self._words) and int(self._state) == rans_plain.LOW
        if not (is_at_end and self._is_whole):
            raise StreamError("the stream goes on after its last symbol", HINT)


def _int32(tensor: Tensor) -> Tensor:
    """What the coder reads: int32 on the CPU, contiguous."""
    return tensor.detach().to("cpu", torch.int32).contiguous()


def _call(function: Any, *arguments: Tensor | int) -> int:
    """Call a C function that returns a 64-bit integer."""
    function.restype = ctypes.c_int64
    return function(*c_arguments(*arguments))
