"""The entropy coders against CompressAI's, byte by byte, and on what nobody coded."""

import subprocess
import sys
from bisect import bisect_right

import numpy as np
import pytest
import torch
from compressai.ans import BufferedRansEncoder, RansDecoder

from bench.common.errors import CodecError
from bench.models.entropy import GeneralisedGaussian, scale_table
from bench.operators import rans
from bench.operators.native import native_allowed

TABLES = GeneralisedGaussian().tables(scale_table())
LISTS = [table.tolist() for table in TABLES]
native = pytest.mark.skipif(rans.CODER.get("cpu") is None, reason="needs a C++ compiler")


@pytest.fixture(params=["native", "plain"])
def implementation(request, monkeypatch):
    """Either coder behind the same functions."""
    if request.param != "native":
        monkeypatch.setenv("BENCH_NATIVE", "0")
        assert not native_allowed()
    elif rans.CODER.get("cpu") is None:
        pytest.skip("needs a C++ compiler")
    return request.param


def drawn(number, spread=1.0, seed=0):
    """Rows of the tables, and symbols of about their scales times ``spread``: beyond 5, many are escaped."""
    random = np.random.default_rng(seed)
    rows = torch.from_numpy(random.integers(0, 60, number))
    symbols = torch.from_numpy(random.laplace(0, 1, number)) * scale_table()[rows] * spread
    return symbols.round(), rows


def compressais_stream(symbols, rows):
    encoder = BufferedRansEncoder()
    encoder.encode_with_indexes(symbols.int().tolist(), rows.int().tolist(), *LISTS)
    return encoder.flush()


@pytest.mark.parametrize("number, spread", [(100, 1), (20000, 0.5), (20000, 1), (5000, 30), (5000, 1e4)])
def test_streams_are_compressais(implementation, number, spread):
    symbols, rows = drawn(number, spread)
    stream = rans.encode(symbols, rows, TABLES)
    assert stream == compressais_stream(symbols, rows)
    assert torch.equal(rans.Decoder(stream, TABLES).decode(rows), symbols.int())
    assert RansDecoder().decode_with_indexes(stream, rows.int().tolist(), *LISTS) == symbols.int().tolist()


def test_every_symbol_around_the_ends_of_a_row_is_coded(implementation):
    for row in (0, 20, 59):
        reach = int(TABLES.lengths[row])
        symbols = torch.arange(-reach - 40, reach + 40)
        rows = torch.full_like(symbols, row)
        stream = rans.encode(symbols, rows, TABLES)
        assert stream == compressais_stream(symbols, rows)
        assert torch.equal(rans.Decoder(stream, TABLES).decode(rows), symbols.int())


def test_a_stream_is_decoded_in_parts(implementation):
    symbols, rows = drawn(9000, spread=8)
    decoder = rans.Decoder(rans.encode(symbols, rows, TABLES), TABLES)
    parts = [decoder.decode(part) for part in rows.split([1, 2000, 6000, 999])]
    assert torch.equal(torch.cat(parts), symbols.int())


def test_floats_and_strided_tensors_are_taken(implementation):
    symbols, rows = drawn(600)
    expected = rans.encode(symbols, rows, TABLES)
    assert rans.encode(symbols.float().repeat_interleave(2)[::2], rows.int(), TABLES) == expected


def decoded_by_the_book(stream, rows, tables):
    """rANS decoding as it is defined, by a binary search of each row, in Python's whole numbers."""
    words = [int.from_bytes(stream[i : i + 4], "little") for i in range(0, len(stream), 4)]
    state, words, symbols = words[0] | words[1] << 32, words[2:], []

    def refill(state):
        return state << 32 | words.pop(0) if state < 2**31 else state

    def field():
        nonlocal state
        value, state = state & 15, refill(state >> 4)
        return value

    for row in rows.tolist():
        cdf = tables.cdf[row, : tables.lengths[row]].tolist()
        target = state & 0xFFFF
        value = bisect_right(cdf, target) - 1
        state = refill((cdf[value + 1] - cdf[value]) * (state >> 16) + target - cdf[value])
        if value == len(cdf) - 2:  # the escape
            digits = field()
            assert digits < 15, "not met here: further fields count on"
            raw = sum(field() << 4 * place for place in range(digits))
            value = -(raw >> 1) - 1 if raw & 1 else value + (raw >> 1)
        symbols.append(value + int(tables.offsets[row]))
    return symbols


def table_of(*rows):
    """Tables of given frequencies, which add up to 2^16."""
    longest = max(map(len, rows)) + 1
    cdf = torch.tensor([[*np.cumsum([0, *row]), *[0] * (longest - 1 - len(row))] for row in rows])
    return rans.CodingTables(cdf, torch.tensor([len(row) + 1 for row in rows]), torch.tensor([-2] * len(rows)))


UNUSUAL = table_of(
    [65535, 1], [1, 65535], [1] * 300 + [65536 - 300], [65536 - 300] + [1] * 300, [256] * 256, [255, 257] * 128,
    [65536], [1, 1, 65000, 1, 1, 532], [0, 0, 300, 0, 65236],
    np.random.default_rng(0).multinomial(65536, [1 / 700] * 700))


def test_intervals_are_found_whatever_the_tables_look_like(implementation):
    """Rows whose intervals are far narrower or wider than the 256ths of the range by which they are found."""
    random = np.random.default_rng(1)
    drawn_rows = torch.from_numpy(random.integers(0, len(UNUSUAL.lengths), 4000))
    symbols = torch.tensor([int(random.integers(int(UNUSUAL.lengths[row]) + 1)) - 2 for row in drawn_rows])
    possible = [int(UNUSUAL.cdf[row, min(symbol + 2, int(UNUSUAL.lengths[row]) - 2) :][:2].diff()) > 0
                for row, symbol in zip(drawn_rows.tolist(), symbols.tolist())]
    rows, symbols = drawn_rows[possible], symbols[possible]
    stream = rans.encode(symbols, rows, UNUSUAL)
    assert decoded_by_the_book(stream, rows, UNUSUAL) == symbols.tolist()
    assert rans.Decoder(stream, UNUSUAL).decode(rows).tolist() == symbols.tolist()


@native
@pytest.mark.parametrize("tables, row", [*((UNUSUAL, row) for row in range(len(UNUSUAL.lengths))), (TABLES, 59)])
def test_every_value_of_the_state_gives_the_symbol_of_its_interval(tables, row):
    cdf = tables.cdf[row, : tables.lengths[row]].tolist()
    for target in {target for edge in cdf for target in (edge - 1, edge)} & {*range(65536)}:
        if target >= cdf[-2]:
            continue  # an escape goes on with further fields
        stream = (1 << 48 | target).to_bytes(8, "little")
        expected = decoded_by_the_book(stream + bytes(8), torch.tensor([row]), tables)
        assert rans.Decoder(stream + bytes(8), tables).decode(torch.tensor([row])).tolist() == expected


@pytest.mark.parametrize("number", range(1, 6))
def test_few_symbols_are_coded(implementation, number):
    """CompressAI's coder writes beyond its buffer here, so there is nothing to compare with."""
    symbols, rows = drawn(number, spread=20, seed=number)
    assert torch.equal(rans.Decoder(rans.encode(symbols, rows, TABLES), TABLES).decode(rows), symbols.int())


def test_no_symbols_are_the_bare_state(implementation):
    stream = rans.encode(torch.empty(0), torch.empty(0), TABLES)
    assert int.from_bytes(stream, "little") == 2**31
    assert rans.Decoder(stream, TABLES).decode(torch.empty(0)).shape == (0,)


@pytest.mark.parametrize("kept", [0, 3, 4, 8, 100])
def test_a_truncated_stream_is_an_error(implementation, kept):
    symbols, rows = drawn(4000)
    stream = rans.encode(symbols, rows, TABLES)[:kept]
    with pytest.raises(rans.StreamError, match="ends too early"):
        rans.Decoder(stream, TABLES).decode(rows)


def test_damaged_streams_never_read_beyond_their_end(implementation):
    random = np.random.default_rng(0)
    for length in range(0, 400, 7):
        decoder = rans.Decoder(random.bytes(length), TABLES)
        try:
            decoder.decode(drawn(3000, seed=length)[1])
        except rans.StreamError:
            continue
        pytest.fail("3000 symbols can't come from so few bytes")


@pytest.mark.parametrize("row", [-1, 60])
def test_rows_outside_the_tables_are_refused(implementation, row):
    stream = rans.encode(*drawn(10), TABLES)
    with pytest.raises(ValueError, match="not one of 60"):
        rans.encode(torch.zeros(3), torch.tensor([0, row, 1]), TABLES)
    with pytest.raises(ValueError, match="not one of 60"):
        rans.Decoder(stream, TABLES).decode(torch.tensor([0, row, 1]))


@pytest.mark.parametrize("damage", [
    lambda stream: stream + bytes(4), lambda stream: stream + b"\0",
    lambda stream: stream[:4] + b"\1" + stream[5:], lambda stream: stream[4:8] + stream,
])
def test_a_stream_ends_with_its_last_symbol(implementation, damage):
    symbols, rows = drawn(300)
    stream = rans.encode(symbols, rows, TABLES)
    decoder = rans.Decoder(stream, TABLES)
    decoder.decode(rows)
    decoder.finish()
    with pytest.raises(rans.StreamError):
        decoder = rans.Decoder(damage(stream), TABLES)
        decoder.decode(rows)
        decoder.finish()
    decoder = rans.Decoder(stream, TABLES)
    for part in (rows[:0], rows[:299]):
        decoder.decode(part)
        with pytest.raises(rans.StreamError, match="goes on"):
            decoder.finish()


def decode_any(stream, rows):
    """Symbols, or why there are none."""
    try:
        decoder = rans.Decoder(stream, TABLES)
        symbols = decoder.decode(rows).tolist()
        decoder.finish()
    except rans.StreamError as error:
        return str(error)
    return symbols


@native
def test_both_coders_take_any_bytes_for_the_same(monkeypatch):
    random, rows = np.random.default_rng(0), drawn(60)[1]
    streams = [random.bytes(int(length)) for length in random.integers(0, 90, 400)]
    streams += [rans.encode(*drawn(60, spread, seed), TABLES) for seed in range(100) for spread in (1, 1e4)]
    natively = [decode_any(stream, rows) for stream in streams]
    monkeypatch.setenv("BENCH_NATIVE", "0")
    assert [decode_any(stream, rows) for stream in streams] == natively
    assert len({str(outcome)[:30] for outcome in natively}) > 3


@pytest.mark.parametrize("symbol", [2**24 + 1, -(2**24) - 1, 2**31 - 1, float("nan"), float("inf")])
def test_symbols_that_the_decoder_would_refuse_are_not_coded(implementation, symbol):
    for row in (0, 59):
        with pytest.raises(CodecError, match="not finite, or beyond 16777216"):
            rans.encode(torch.tensor([0.0, 1, symbol], dtype=torch.float64), torch.full((3,), row), TABLES)
    largest = torch.tensor([2**24, -(2**24), 0])
    rows = torch.tensor([0, 59, 20])
    assert torch.equal(rans.Decoder(rans.encode(largest, rows, TABLES), TABLES).decode(rows), largest.int())


def write_fields(fields):
    """The stream of a decoder's state whose next reads are an escape of row 0 of ``TABLES``, then 4-bit fields."""
    cdf, length = TABLES.cdf[0].tolist(), int(TABLES.lengths[0])
    escape = (16, cdf[length - 2], cdf[length - 1] - cdf[length - 2])
    state, words = 2**31, []
    for bits, start, frequency in [*((4, field, 1) for field in reversed(fields)), escape]:
        if state >= frequency << 63 - bits:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // frequency << bits) + state % frequency + start
    return b"".join(word.to_bytes(4, "little") for word in [state & 0xFFFFFFFF, state >> 32, *reversed(words)])


@pytest.mark.parametrize(("fields", "is_coded"), [
    ([1, 1], True), ([0], True), ([2, 0, 1], True), ([7, *[0] * 6, 1], True),
    ([1, 0], False), ([3, 1, 1, 0], False), ([8, *[1] * 8], False), ([15, 1], False), ([15] * 9, False),
    ([7, *[15] * 7], False),
])
def test_escapes_have_one_spelling_and_a_bound(implementation, fields, is_coded):
    row = torch.tensor([0])
    stream = write_fields(fields)
    outcome = decode_any(stream, row)
    assert isinstance(outcome, list) == is_coded
    if is_coded:
        assert rans.encode(torch.tensor(outcome), row, TABLES) == stream
    else:
        assert "no encoder writes" in outcome


def test_without_a_compiler_there_is_one_warning_and_the_same_stream(tmp_path):
    symbols, rows = drawn(500)
    torch.save((symbols, rows), tmp_path / "drawn.pt")
    program = ("import sys, torch; from tests.test_rans import TABLES, rans; symbols, rows = torch.load(sys.argv[1])\n"
               "streams = {rans.encode(symbols, rows, TABLES) for _ in range(3)}; print(streams.pop().hex())")
    environment = {"PATH": "/nowhere", "CXX": "no-such-compiler", "TORCH_EXTENSIONS_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-W", "always", "-c", program, tmp_path / "drawn.pt"], env=environment,
                          capture_output=True, text=True, timeout=120, check=True)
    assert bytes.fromhex(done.stdout) == compressais_stream(symbols, rows)
    assert done.stderr.count("Entropy coding runs in plain Python") == 1
