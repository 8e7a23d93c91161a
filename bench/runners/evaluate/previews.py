"""What can be told of codecs before they are built; by a process of its own where that takes torch: a plan has none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import CODECS, CodecSpec, Preview

TIMEOUT_S = 120


def preview_codecs(specs: Sequence[CodecSpec]) -> list[Preview]:
    """Return what can be told of each of ``specs``: nothing, where the process that would tell fails or hangs."""
    previews = {number: preview_codec(spec) for number, spec in enumerate(specs)
                if not CODECS.get(spec.codec).uses_torch}
    heavy = [number for number in range(len(specs)) if number not in previews]
    previews.update(zip(heavy, _ask_process([specs[number] for number in heavy])))
    return [previews[number] for number in range(len(specs))]


def preview_codec(spec: CodecSpec) -> Preview:
    """Return what can be told of ``spec``."""
    return CODECS.get(spec.codec).preview(spec)


def describe_preview(title: str, preview: Preview) -> list[str]:
    """Return what a plan says of a codec at a rate point: why it will fail, and what is to be known of it."""
    told = (("will fail", preview.fault), ("note", preview.note))
    return [f"{kind}: {title}: {text}".replace("\n", "\n    ") for kind, text in told if text]


def _ask_process(specs: Sequence[CodecSpec]) -> list[Preview]:
    if not specs:
        return []
    asked = json.dumps([asdict(spec) for spec in specs])
    try:
        ended = subprocess.run([sys.executable, "-m", __name__], input=asked, capture_output=True, text=True,
                               timeout=TIMEOUT_S, check=True)
        told = json.loads(ended.stdout.splitlines()[-1])  # a user's model may print when it is imported
        return [Preview(**preview) for preview in told]
    except (subprocess.SubprocessError, OSError, ValueError, TypeError, IndexError):
        return [Preview()] * len(specs)


if __name__ == "__main__":
    print(json.dumps([asdict(preview_codec(CodecSpec(**given))) for given in json.load(sys.stdin)]))
