"""Weights and images that every machine makes alike: a fixed formula of name and index, no random generator."""

import zlib

import numpy as np


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Gives float64 values in (-1, 1), spread like noise, from a multiplicative hash of the index and the name."""
    index = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64)
    mixed = (index + np.uint64(zlib.crc32(name.encode()))) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return ((mixed >> np.uint64(40)).astype(np.float64) / 2**23 - 1).reshape(shape)


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Gives a float32 parameter by timm's name: LayerScales of 0.5, dense layers of unit gain."""
    noise = values(name, shape)
    if name.endswith("gamma"):
        return (0.5 + 0.1 * noise).astype(np.float32)
    if "norm" in name and name.endswith("weight"):
        return (1 + 0.3 * noise).astype(np.float32)
    if len(shape) >= 2 and name.endswith("weight"):
        return (noise * np.sqrt(3 / np.prod(shape[1:]))).astype(np.float32)
    return (0.2 * noise).astype(np.float32)


def image(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Gives float32 images [batch, height, width, 3], as if normalised."""
    return values("image", shape).astype(np.float32)
