"""Entropy coding from arrays: the streams of CompressAI's rANS coder, with tables taken as they are.

CompressAI's own coder takes Python lists, and converts all tables on every call. It is used where there is no
compiler; both write the same bytes.
"""

from __future__ import annotations

import ctypes
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.common.errors import CodecError
from bench.operators.native import NativeOperator, c_arguments

CODER = NativeOperator("rans", "Entropy coding", "CompressAI's coder", {"cpu": Path(__file__).with_name("rans.cpp")})
WORD_BYTES = 4
BUCKETS = 256  # of the probability range, for each of which the decoder knows the first interval
ROW_OUT_OF_RANGE, IMPOSSIBLE_SYMBOL = -1, -2


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
    """A stream ends before all symbols are decoded: it is damaged, truncated, or of other tables."""


def encode(symbols: Tensor, rows: Tensor, tables: CodingTables) -> bytes:
    """Code integer-valued ``symbols`` (n,) with the rows ``rows`` (n,) of ``tables`` into one stream.

    Raises:
        ValueError: a row is not in the tables, or a table has no room for one of its symbols.
    """
    symbols, rows = _int32(symbols), _int32(rows)
    given = [_int32(table) for table in tables]
    library = CODER.get("cpu")
    if library is None:
        encoder = _compressai_coder().BufferedRansEncoder()
        encoder.encode_with_indexes(symbols.tolist(), rows.tolist(), *(table.tolist() for table in given))
        return encoder.flush()

    words = torch.empty(2 * len(symbols) + 2, dtype=torch.int32)  # no symbol takes more than two
    count = _call(library.rans_encode, symbols, rows, len(symbols), *given, *given[0].shape, words, len(words))
    if count == ROW_OUT_OF_RANGE:
        raise ValueError(f"a row of the coder's tables is not one of {len(tables[1])}")
    if count == IMPOSSIBLE_SYMBOL:
        raise ValueError("the coder's tables give a symbol no probability")
    return words[:count].numpy().tobytes()


class Decoder:
    """Decodes one stream, in as many calls as it takes.

    Args:
        stream: what :func:`encode` wrote.
        tables: those it was coded with.
    """

    def __init__(self, stream: bytes, tables: CodingTables) -> None:
        self._tables = [_int32(table) for table in tables]

        self._library = CODER.get("cpu")
        if self._library is None:
            self._lists = [table.tolist() for table in self._tables]
            self._decoder = _compressai_coder().RansDecoder()
            self._decoder.set_stream(stream)
        else:
            whole = stream[: len(stream) // WORD_BYTES * WORD_BYTES]
            self._words = torch.frombuffer(bytearray(whole), dtype=torch.int32) if whole else torch.empty(0)
            self._position, self._state = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)

            # Made for each stream, in a tenth of a millisecond, so that they are never those of other tables.
            self._firsts = torch.empty(len(self._tables[1]), BUCKETS, dtype=torch.int16)
            cdf, lengths, _ = self._tables
            if _call(self._library.rans_index, cdf, lengths, *cdf.shape, self._firsts):
                raise ValueError("a row of the coder's tables has more than 65536 intervals")

    def decode(self, rows: Tensor) -> Tensor:
        """Decode one symbol for each of ``rows`` (n,): int32 (n,).

        Raises:
            StreamError: the stream is at its end (CompressAI's coder does not notice it).
            ValueError: a row is not in the tables.
        """
        rows = _int32(rows)
        if self._library is None:
            return torch.tensor(self._decoder.decode_stream(rows.tolist(), *self._lists), dtype=torch.int32)

        symbols = torch.empty(len(rows), dtype=torch.int32)
        failure = _call(self._library.rans_decode, self._words, len(self._words), self._position, self._state,
                        rows, len(rows), *self._tables, *self._tables[0].shape, self._firsts, symbols)
        if failure == ROW_OUT_OF_RANGE:
            raise ValueError(f"a row of the coder's tables is not one of {len(self._tables[1])}")
        if failure:
            raise StreamError("the stream ends too early",
                              "it is damaged, truncated, or was coded with another model or other weights")
        return symbols


def _compressai_coder() -> ModuleType:
    """Import CompressAI, which takes longer than torch, only where its coder is used."""
    return importlib.import_module("compressai.ans")


def _int32(tensor: Tensor) -> Tensor:
    """What the coder reads: int32 on the CPU, contiguous."""
    return tensor.detach().to("cpu", torch.int32).contiguous()


def _call(function: Any, *arguments: Tensor | int) -> int:
    """Call a C function that returns a 64-bit integer."""
    function.restype = ctypes.c_int64
    return function(*c_arguments(*arguments))
