"""Binary things inside one HTML file: data URIs, a PNG of a spectrum, arrays, JSON."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np

INK = ((255, 255, 255), (159, 179, 196), (61, 90, 115), (16, 29, 43))
"""From silence to loud: ink on paper; the page inverts it in the dark."""


def data_uri(content: bytes | str, kind: str) -> str:
    if isinstance(content, str):
        content, kind = content.encode(), f"{kind};charset=utf-8"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def spectrum_png(decibels: np.ndarray, floor: float = -60.0) -> bytes:
    """A spectrum (mel, frame) in decibels as a palette PNG, low frequencies at the bottom."""
    levels = np.clip((decibels - floor) / -floor, 0, 1)
    pixels = np.round(levels[::-1] * 63).astype(np.uint8)
    places = np.linspace(0, len(INK) - 1, 64)
    channels = np.array(INK).T
    palette = np.stack([np.interp(places, range(len(INK)), one) for one in channels], axis=1)
    height, width = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # each line begins with its filter, 0
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", np.round(palette).astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def shares(values: np.ndarray) -> str:
    """Numbers in 0…1 as little-endian 16-bit integers, base64."""
    whole = np.floor(np.clip(values, 0, 1) * 65535).astype("<u2")
    return base64.b64encode(whole.tobytes()).decode()


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
