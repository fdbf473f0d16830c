"""Packs arrays as short texts for a page: maps in 256 levels, numbers in half precision, deflated and in base64.

Maps of attention and of receptive fields fall off by orders of magnitude, so that evenly spaced levels would leave
their tails black and their sums wrong. Levels are therefore evenly spaced in the square root of the value:

    code = round(255 sqrt(value / peak)),    value' = peak (code / 255)^2
    |value' - value| <= peak (s / 255 + 1 / 510^2)

with s = sqrt(value / peak). Maps with negative values have 127 levels on either side of code 128.
"""

import base64
import zlib
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from jaxtyping import Float, Float32, UInt8

LEVELS, SIGNED_LEVELS, SIGNED_ZERO = 255, 127, 128
MOST_HALF = 65504.0


class PackedArray(TypedDict):
    """An array in JSON: numpy's name of its type, its shape, and its deflated little-endian bytes in base64."""

    type: str
    shape: list[int]
    data: str


@dataclass(frozen=True, kw_only=True)
class CompandedMaps:
    """Maps in 256 levels, each map on its own scale.

    Attributes:
      codes: levels of the values.
      peaks: largest absolute value of each map.
      is_signed: whether code 128 is zero; otherwise code 0 is.
    """

    codes: UInt8[np.ndarray, "*maps height width"]
    peaks: Float32[np.ndarray, "*maps"]
    is_signed: bool


def compand(values: Float[np.ndarray, "*maps height width"]) -> CompandedMaps:
    """Rounds maps to levels; signed ones if any value is negative."""
    is_signed = bool(values.min() < 0)
    levels, zero = (SIGNED_LEVELS, SIGNED_ZERO) if is_signed else (LEVELS, 0)
    peaks = np.abs(values).max(axis=(-2, -1))
    scale = np.where(peaks > 0, peaks, 1)[..., None, None]
    codes = zero + np.rint(levels * np.sign(values) * np.sqrt(np.abs(values) / scale))
    return CompandedMaps(codes=codes.astype(np.uint8), peaks=peaks.astype(np.float32), is_signed=is_signed)


def expand(maps: CompandedMaps) -> Float[np.ndarray, "*maps height width"]:
    """Returns the values of the levels, computed as on the page."""
    levels, zero = (SIGNED_LEVELS, SIGNED_ZERO) if maps.is_signed else (LEVELS, 0)
    roots = (maps.codes.astype(np.float64) - zero) / levels
    return maps.peaks.astype(np.float64)[..., None, None] * roots * np.abs(roots)


def half(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Rounds to half precision; values beyond its range are clipped."""
    return np.clip(values, -MOST_HALF, MOST_HALF).astype(np.float16)


def pack(array: np.ndarray) -> PackedArray:
    """Encodes an array as a JSON object.

    >>> pack(np.zeros((2, 3), np.uint8))["type"], pack(np.zeros((2, 3), np.uint8))["shape"]
    ('uint8', [2, 3])
    """
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    data = base64.b64encode(zlib.compress(little_endian.tobytes(), 9)).decode("ascii")
    return PackedArray(type=array.dtype.name, shape=list(array.shape), data=data)


def unpack(packed: PackedArray) -> np.ndarray:
    """Decodes what `pack` encoded."""
    content = zlib.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(content, np.dtype(packed["type"]).newbyteorder("<")).reshape(packed["shape"])


def pack_maps(maps: CompandedMaps) -> dict[str, object]:
    """Encodes companded maps as a JSON object."""
    return {"codes": pack(maps.codes), "peaks": pack(maps.peaks), "signed": maps.is_signed}


def block_means(
    values: Float[np.ndarray, "*maps height width"], shape: tuple[int, int]
) -> Float[np.ndarray, "*maps rows columns"]:
    """Averages over `shape[0]` by `shape[1]` equal blocks.

    Raises:
      ValueError: the sides cannot be divided evenly.
    """
    height, width = values.shape[-2:]
    if height % shape[0] or width % shape[1]:
        raise ValueError(f"maps of {height} x {width} cannot be cut into {shape[0]} x {shape[1]} equal blocks")
    blocks = values.reshape(*values.shape[:-2], shape[0], height // shape[0], shape[1], width // shape[1])
    return blocks.mean(axis=(-3, -1))
