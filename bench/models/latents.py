"""What tells decoded latents and loaded weights apart: checksums of both."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

from bench.models.checkpoints import bare_weights


def update_crc(crc: int, symbols: Tensor) -> int:
    """Go on with a CRC-32 of symbols.

    Args:
        crc: of those before, 0 at first.
        symbols: whole numbers of any type and shape, in coding order; they count as 32-bit ones, low bytes first.

    Returns:
        The CRC-32 of all.
    """
    values = symbols.detach().to("cpu", torch.int32).contiguous().numpy()
    return zlib.crc32(values.astype("<i4", copy=False).data, crc)


def digest_weights(model: nn.Module) -> int:
    """Compute the CRC-32 of a model's weights as they are loaded.

    Args:
        model: on any device; what is rebuilt after loading does not count.

    Returns:
        The CRC-32 of names, types, shapes and values, in the order of the names.
    """
    crc = 0
    for name, value in sorted(bare_weights(model).items()):
        crc = zlib.crc32(f"{name} {value.dtype} {list(value.shape)}\n".encode(), crc)
        crc = zlib.crc32(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data, crc)
    return crc
