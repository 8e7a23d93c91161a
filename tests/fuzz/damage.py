"""Ways to damage bytes, shared by all generators."""

from __future__ import annotations

from hypothesis import strategies as st

WIDTHS = (1, 2, 3, 4, 8)  # of whole numbers in binary formats
ODD_TEXTS = (b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b'"', b"'", b",", b";", b"#", b"-", b"=", b"{", b"[",
             b"]", b"}", b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-320", b"9" * 400, b"\xd9\xa1", b"\xc2\xbd",
             b"\x1b[2J", b"../", b"null", b"true")
PLACES = st.floats(0, 1, exclude_max=True)


@st.composite
def odd_numbers(draw: st.DrawFn) -> bytes:
    """A whole number at the edge of what its bytes hold, or any."""
    width = draw(st.sampled_from(WIDTHS))
    top = 256**width
    edges = [0, 1, 2, top - 1, top // 2, top // 2 - 1, top // 4, 1 << min(8 * width - 1, 24)]
    number = draw(st.sampled_from(edges) | st.integers(0, top - 1))
    return number.to_bytes(width, draw(st.sampled_from(["little", "big"])))


PIECES = st.one_of(st.binary(max_size=6), odd_numbers(), st.sampled_from(ODD_TEXTS))


@st.composite
def damaged(draw: st.DrawFn, content: bytes, least: int = 1, most: int = 4) -> bytes:
    """``content`` with bits, numbers and runs of bytes changed, lost, added, doubled or moved."""
    part = bytearray(content)
    for _ in range(draw(st.integers(least, most))):
        start = int(draw(PLACES) * len(part))
        kind = draw(st.sampled_from(("flip", "overwrite", "overwrite", "insert", "delete", "double", "move", "cut")))
        length = draw(st.integers(1, 16))
        if kind == "flip" and part:
            part[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "overwrite":
            piece = draw(PIECES)
            part[start : start + len(piece)] = piece
        elif kind == "insert":
            part[start:start] = draw(PIECES)
        elif kind == "delete":
            del part[start : start + length]
        elif kind == "double":
            part[start:start] = part[start : start + length] * draw(st.sampled_from([1, 1, 2, 50]))
        elif kind == "move":
            moved = part[start : start + length]
            del part[start : start + length]
            target = int(draw(PLACES) * len(part))
            part[target:target] = moved
        elif kind == "cut":
            del part[start:]
    return bytes(part)
