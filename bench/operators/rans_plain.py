"""The coder of rans.cpp in Python's whole numbers, with the same streams and errors: used where nothing is compiled.

CompressAI's coder would be faster, but it reads beyond the end of a damaged stream, and writes beyond its buffer where
there are few symbols.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

LOW = 2**31  # a state is at least this
PROBABILITY_BITS, FIELD_BITS, MOST_DIGITS = 16, 4, 7
LARGEST_SYMBOL = 2**24  # as whole numbers float32 holds no larger ones exactly
ROW_OUT_OF_RANGE, NO_PROBABILITY, SYMBOL_OUT_OF_RANGE = -1, -2, -4  # failures of encoding
ENDS_TOO_EARLY, WRONG_SYMBOL = -2, -3  # failures of decoding, besides ROW_OUT_OF_RANGE

Rows = Sequence[Sequence[int]]


def encode(symbols: Sequence[int], rows: Sequence[int], cdf: Rows, lengths: Sequence[int],
           offsets: Sequence[int]) -> tuple[int, list[int]]:
    """Code symbols, the last one first, as the decoder takes them from a stack.

    Args:
        symbols, rows: of equal length.
        cdf, lengths, offsets: as of :class:`bench.operators.rans.CodingTables`.

    Returns:
        0 and the stream's 32-bit words, or a failure and nothing.
    """
    state, words = LOW, []

    def put(start: int, frequency: int, bits: int) -> None:
        nonlocal state
        if state >= frequency << 63 - bits:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        quotient, remainder = divmod(state, frequency)
        state = (quotient << bits) + remainder + start

    for symbol, row in zip(reversed(symbols), reversed(rows)):
        if not 0 <= row < len(lengths):
            return ROW_OUT_OF_RANGE, []
        if abs(symbol) > LARGEST_SYMBOL:
            return SYMBOL_OUT_OF_RANGE, []

        value, escape = symbol - offsets[row], lengths[row] - 2
        if not 0 <= value < escape:
            raw = -2 * value - 1 if value < 0 else 2 * (value - escape)
            digits = -(-raw.bit_length() // FIELD_BITS)
            for place in reversed(range(digits)):
                put(raw >> FIELD_BITS * place & 15, 1, FIELD_BITS)
            put(digits, 1, FIELD_BITS)
            value = escape

        start, end = cdf[row][value : value + 2]
        if not 0 < end - start <= 1 << PROBABILITY_BITS:
            return NO_PROBABILITY, []
        put(start, end - start, PROBABILITY_BITS)

    return 0, [state & 0xFFFFFFFF, state >> 32, *reversed(words)]


class Decoder:
    """Decodes one stream, in as many calls as it takes.

    Args:
        words: of the stream, 32 bits each.
    """

    def __init__(self, words: Sequence[int]) -> None:
        self._words = iter(words[2:])
        self._state = words[0] | words[1] << 32 if len(words) > 1 else -1
        self._rows: list[Sequence[int]] = []
        self._offsets: Sequence[int] = ()

    def use_tables(self, cdf: Rows, lengths: Sequence[int], offsets: Sequence[int]) -> None:
        """Decode with these from here on.

        Args:
            cdf, lengths, offsets: as of :class:`bench.operators.rans.CodingTables`.
        """
        self._rows = [entries[:length] for entries, length in zip(cdf, lengths)]
        self._offsets = offsets

    def decode(self, rows: Sequence[int]) -> tuple[int, list[int]]:
        """Decode one symbol for each of ``rows``.

        Returns:
            0 and the symbols, or a failure and nothing.
        """
        if self._state < 0:
            return ENDS_TOO_EARLY, []

        symbols = []
        try:
            for row in rows:
                if not 0 <= row < len(self._rows):
                    return ROW_OUT_OF_RANGE, []
                symbol = self._decode_symbol(self._rows[row]) + self._offsets[row]
                if abs(symbol) > LARGEST_SYMBOL:
                    return WRONG_SYMBOL, []
                symbols.append(symbol)
        except StopIteration:
            return ENDS_TOO_EARLY, []
        except ArithmeticError:
            return WRONG_SYMBOL, []
        return 0, symbols

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left: all words are read, and the state is that which the encoder started from."""
        return self._state == LOW and next(self._words, None) is None

    def _decode_symbol(self, entries: Sequence[int]) -> int:
        target, escape = self._state & 0xFFFF, len(entries) - 2
        value = min(bisect_right(entries, target) - 1, escape)
        start, end = entries[value : value + 2]
        self._state = (end - start) * (self._state >> PROBABILITY_BITS) + target - start
        if self._state < LOW:
            self._state = self._state << 32 | next(self._words)
        if value < escape:
            return value

        digits = self._decode_field()
        if digits > MOST_DIGITS:
            raise ArithmeticError("more digits than a symbol can have")
        fields = [self._decode_field() for _ in range(digits)]
        if fields and not fields[-1]:
            raise ArithmeticError("a leading zero")
        raw = sum(field << FIELD_BITS * place for place, field in enumerate(fields))
        return -(raw >> 1) - 1 if raw & 1 else value + (raw >> 1)

    def _decode_field(self) -> int:
        field, self._state = self._state & 15, self._state >> FIELD_BITS
        if self._state < LOW:
            self._state = self._state << 32 | next(self._words)
        return field
