"""Damages files of learned codecs and mends their CRC, so that the damage reaches the decoder.

``python tests/hostile_files.py VARIANT ... [-n FILES]`` counts what becomes of files of miniatures.
"""

from __future__ import annotations

import argparse
import resource
import time
from binascii import crc_hqx
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import CODECS, build_codec
from bench.common.errors import CodecError

CRC_BYTES = 2
KINDS = ("flip", "agreed", "burst", "cut", "insert", "delete", "zeros", "ones", "move", "append",
         *("number",) * 3)
SAME, OWN, RAW, WRONG = "same picture", "the suite's own error", "another error", "wrong picture"


def mend(content: bytes, tag: int) -> bytes:
    """A file of ``content`` with the right CRC."""
    return crc_hqx(content, tag).to_bytes(CRC_BYTES, "big") + content


def change_number(content: bytes, random: np.random.Generator) -> bytes:
    """One of the header's first four numbers (width, height, streams, bytes of the first one) is another."""
    numbers, start = [], 0
    for _ in range(4):
        end = next(end for end in range(start, len(content)) if content[end] < 128) + 1
        numbers.append(sum((byte & 127) << 7 * place for place, byte in enumerate(content[start:end])))
        start = end
    which = int(random.integers(4))
    old = numbers[which]
    numbers[which] = int(random.choice([old + 1, abs(old - 1), old + 64, abs(old - 64), 2 * old, 64 * old, old**2 + 7,
                                        0, 1, 2**16, 2**31]))
    if which == 2 and numbers[2] % 2:  # shape numbers follow
        numbers[3:3] = [2, *map(int, random.choice([0, 1, 2, 3, 8, 64, 2**16, 2**32 - 1], 2))]
    return b"".join(map(leb128, numbers)) + content[start:]


def leb128(number: int) -> bytes:
    """By the definition: groups of seven bits, lowest first, all but the last with the top bit set."""
    digits = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def damage(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """One kind of damage to all that follows a file's CRC; the header's few bytes are hit as often as the rest."""
    part = bytearray(content)
    end = 14 if random.random() < 0.4 else len(part)
    start, length = int(random.integers(end)), int(random.integers(1, 5))
    kind = str(random.choice(KINDS))
    match kind:
        case "agreed":  # where an exact file's first stream begins
            start = 10 + int(random.integers(8))
            part[start] = int(random.integers(256))
        case "number":
            part[:] = change_number(content, random)
        case "flip":
            part[start] ^= 1 << int(random.integers(8))
        case "burst":
            part[start : start + length] = random.bytes(len(part[start : start + length]))
        case "cut":
            del part[start:]
        case "insert":
            part[start:start] = random.bytes(length)
        case "delete":
            del part[start : start + length]
        case "zeros" | "ones":
            part[start : start + 8] = bytes([255 * (kind == "ones")]) * len(part[start : start + 8])
        case "move":
            target = int(random.integers(len(part)))
            moved = part[start : start + 8]
            del part[start : start + 8]
            part[target:target] = moved
        case "append":
            part += random.bytes(length)
    return kind, bytes(part)


def damaged_files(stream: bytes, tag: int, number: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``number`` files that differ from ``stream`` and have a right CRC."""
    random = np.random.default_rng(seed)
    while number:
        kind, content = damage(stream[CRC_BYTES:], random)
        if content != stream[CRC_BYTES:]:
            number -= 1
            yield kind, mend(content, tag)


def decode_damaged(codec, file: bytes, picture: np.ndarray) -> tuple[str, str]:
    """What becomes of a file, and in which words."""
    try:
        decoded = codec.decode(file)
    except CodecError as error:
        return OWN, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    except Exception as error:  # noqa: BLE001  (what is counted)
        return RAW, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return (SAME, "") if np.array_equal(decoded, picture) else (WRONG, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="+")
    parser.add_argument("-n", type=int, default=40)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from tiny_models import picture as make_picture

    for name in arguments.variants:
        spec = next(spec for spec in CODECS.get("learned").default_specs() if spec.name == name)
        if arguments.exact:
            spec = replace(spec, settings={**spec.settings, "exact": True})
        codec, image = build_codec(spec), make_picture(192, 128)
        stream = codec.encode(image).stream
        expected = codec.decode(stream)
        outcomes, words, slowest_s = Counter(), Counter(), 0.0
        for _, file in damaged_files(stream, codec._tag(), arguments.n, arguments.seed):
            start = time.process_time()
            outcome, text = decode_damaged(codec, file, expected)
            slowest_s = max(slowest_s, time.process_time() - start)
            outcomes[outcome] += 1
            words[f"{outcome}: {text}"] += 1
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {dict(outcomes)}; slowest {slowest_s:.2f} s of CPU, peak {peak_mib:.0f} MiB")
        for text, count in words.most_common():
            print(f"  {count:4} {text}")


if __name__ == "__main__":
    main()
