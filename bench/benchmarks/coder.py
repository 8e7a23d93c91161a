"""Time the entropy coder on what one image needs, beside CompressAI's with its tables converted on each call."""

from __future__ import annotations

import torch
from compressai.ans import BufferedRansEncoder, RansDecoder
from torch import Tensor

from bench.benchmarks.benchmark import (
    BenchmarkReport,
    SideBySide,
    Tell,
    make_report,
    tell_nothing,
    time_together,
)
from bench.models.entropy import GeneralisedGaussian, scale_table
from bench.operators import rans
from bench.runners.machine import device_name

STEPS = (*2 * (15360,), *3 * (30720,), *6 * (61440,))  # symbols of each step for a 768x512 image
NOTES = """\
Milliseconds for all {total:,} symbols of y; median (10th to 90th percentile). At most 25 ms are wanted. Encoding takes
one call, decoding {calls}, one for each step of the context model; the call for the hyper-latents, 1 % of the symbols,
is left out. faster: CompressAI's coder over this one. Same bytes: {same}."""


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time both coders in turns; the coder runs on the host whatever the device."""
    tables = GeneralisedGaussian().tables(scale_table())
    rows, symbols = draw_symbols(sum(STEPS))
    stream = rans.encode(symbols, rows, tables)
    functions = {
        "encode, CompressAI": lambda: encode_by_compressai(symbols, rows, tables),
        "encode": lambda: rans.encode(symbols, rows, tables),
        "decode, CompressAI": lambda: decode_by_compressai(stream, rows, tables),
        "decode": lambda: decode_in_steps(stream, rows, tables),
    }
    timings = time_together(functions, 5 if quick else 30, tell=tell)
    table = [{"": name, "this": timings[name], "CompressAI": timings[f"{name}, CompressAI"],
              "faster": f"{timings[f'{name}, CompressAI'].median / timings[name].median:.1f}x"}
             for name in ("encode", "decode")]
    head = (f"{rans.CODER.status().identity}; {device_name('cpu')}, one thread; "
            f"{8 * len(stream) / len(rows):.2f} bits a symbol")
    same = "yes" if encode_by_compressai(symbols, rows, tables) == stream else "NO"
    ratios = [SideBySide(f"coder, {name}, over CompressAI's", timings[name].over(timings[f"{name}, CompressAI"]))
              for name in ("encode", "decode")]
    return make_report(head, table, NOTES.format(total=len(rows), calls=len(STEPS), same=same), ratios)


def draw_symbols(number: int) -> tuple[Tensor, Tensor]:
    """Table rows and symbols that suit them, as of an image at a middle rate."""
    generator = torch.Generator().manual_seed(0)
    rows = (18 + 9 * torch.randn(number, generator=generator)).round().clamp(0, 59).long()
    return rows, (0.7 * scale_table()[rows] * torch.randn(number, generator=generator)).round()


def decode_in_steps(stream: bytes, rows: Tensor, tables: rans.CodingTables) -> None:
    """Decode by this suite's coder, in as many calls as a model makes."""
    decoder = rans.Decoder(stream, tables)
    for part in rows.split(STEPS):
        decoder.decode(part)


def encode_by_compressai(symbols: Tensor, rows: Tensor, tables: rans.CodingTables) -> bytes:
    """Encode in one call."""
    encoder = BufferedRansEncoder()
    encoder.encode_with_indexes(symbols.int().tolist(), rows.int().tolist(), *(table.tolist() for table in tables))
    return encoder.flush()


def decode_by_compressai(stream: bytes, rows: Tensor, tables: rans.CodingTables) -> None:
    """Decode in as many calls as a model makes."""
    decoder = RansDecoder()
    decoder.set_stream(stream)
    for part in rows.split(STEPS):
        decoder.decode_stream(part.int().tolist(), *(table.tolist() for table in tables))
