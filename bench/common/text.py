"""Numbers, counts and durations as people read them, and aligned columns for the terminal."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

EXACT_SUFFIX = "_exact"  # of the name of a codec's exact configuration
LEAST_LIKENESS, LIKE_THE_BEST = 0.6, 0.05  # of names, as difflib has it; how far behind the best one
AT_LEAST = "≥"  # before a figure that is but a lower bound
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_DECIMAL = re.compile(r"\d*\.?\d+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_CONTROLS = ("Cc", "Cf", "Cs")  # controls, formats such as writing from right to left, halves of characters


def format_number(value: float, spec: str) -> str:
    """Return ``value`` by a format such as "+.2f", a true minus sign and a zero without one: "−4.10", "0.00"."""
    text = f"{value:{spec}}"
    if text[0] in "+-" and float(text) == 0:
        text = text[1:]
    return text.replace("-", "−")


def mark_lower_bound(value: float | None, is_lower_bound: bool, digits: int) -> float | str | None:
    """Return a figure, or where it is but a lower bound a text that says so: "≥ 0.19".

    Args:
        value: None where it is not known.
        digits: decimals of the text.

    >>> mark_lower_bound(192, True, digits=0), mark_lower_bound(192, False, digits=0)
    ('≥ 192', 192)
    """
    if value is None or not is_lower_bound:
        return value
    return f"{AT_LEAST} {format_number(value, f'.{digits}f')}"


def is_utf8(text: str) -> bool:
    """Whether all of a text is characters; bytes of a file's name that are no UTF-8 come as what stands for none."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def strip_controls(text: str) -> str:
    """Return ``text`` without what moves or colours a terminal, or hides text there; lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in _CONTROLS)


def escape_formula(text: str) -> str:
    """Lead by ' a text that a spreadsheet would calculate; controls are left out."""
    text = strip_controls(text)
    is_formula = text.lstrip().startswith(FORMULA_STARTS) and not re.fullmatch(r"\s*[+-]?[\d.]+\s*%?", text)
    return f"'{text}" if is_formula else text


def format_count(number: int, noun: str) -> str:
    """"1 image", "2 images"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def list_names(names: Iterable[str], most: int = 8, letters: int = 80) -> str:
    """Return the first ``most`` of many names, each cut to ``letters``, and how many more there are."""
    names = list(names)
    shown = [name if len(name) <= letters else f"{name[:letters]}..." for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown) + more


def suggest_name(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint for an unknown ``name``: the known ones that look like it, else ``otherwise`` or all of them.

    >>> suggest_name("KODAK", ["kodak", "tecnick"]), suggest_name("jpg", ["webp", "jpegxl", "jpeg2000", "jpeg"])
    ('did you mean kodak?', 'did you mean jpeg?')
    """
    known = list(dict.fromkeys(known))
    near = find_near_names(name, known)
    return f"did you mean {', '.join(near)}?" if near else otherwise or f"known: {', '.join(known)}"


def find_near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of ``known`` that are most like ``name``, in any case of letters; none where none is."""
    likeness = {one: difflib.SequenceMatcher(None, name.lower(), one.lower()).ratio() for one in dict.fromkeys(known)}
    best = max(likeness.values(), default=0.0)
    return [one for one in likeness if best >= LEAST_LIKENESS and likeness[one] >= best - LIKE_THE_BEST][:3]


def is_decimal(text: str) -> bool:
    """Whether a text is a number that is not negative, in plain digits or with an exponent."""
    return _DECIMAL.fullmatch(text) is not None


def is_among(point: str, wanted: Iterable[str]) -> bool:
    """Whether a rate point is one of those ``wanted``; labels that are numbers are compared as such.

    >>> is_among("0.013", ["0.0067", "1.30e-2"]), is_among("q55", ["q5", "55"])
    (True, False)
    """
    return _unify_label(point) in map(_unify_label, wanted)


def _unify_label(text: str) -> str:
    return f"{float(text):g}" if is_decimal(text) else text


def align_columns(rows: Sequence[Sequence[str]], left: int = 2) -> list[str]:
    """Return ``rows``, headings first, as lines of aligned columns; the first ``left`` are left-aligned."""
    from tabulate import tabulate  # few verbs need it, and all import this module

    sides = ("left" if column < left else "right" for column in range(len(rows[0])))
    rows = [[strip_controls(cell) for cell in row] for row in rows]
    text = tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=tuple(sides))
    return ["  " + line.rstrip() for line in text.splitlines()]


def format_duration(seconds: float) -> str:
    """Return seconds as people say them: "8 s", "4 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def find_last_line(text: str, letters: int = 300) -> str:
    """Return the last line that holds something, which of what a program prints says most; cut at its beginning.

    >>> find_last_line("Traceback:\\n  line 3\\nValueError: no\\n")
    'ValueError: no'
    """
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")[-letters:]
