"""Weights and images that every machine makes alike: a fixed formula of name and index, no random generator."""

import zlib

import numpy as np

_SAMPLES = 300


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Gives float64 values in (-1, 1), spread like noise, from a multiplicative hash of the index and the name."""
    index = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64)
    mixed = (index + np.uint64(zlib.crc32(name.encode()))) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return ((mixed >> np.uint64(40)).astype(np.float64) / 2**23 - 1).reshape(shape)


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Gives a float32 tensor by the name that another library has for it, such as timm.

    LayerScales are about 0.5, scales of normalisations, running variances and temperatures about 1; dense layers have
    unit gain.
    """
    noise = values(name, shape)
    if "gamma" in name:
        return (0.5 + 0.1 * noise).astype(np.float32)
    if name.endswith("logit_scale"):
        # About SwinV2's start. At its limit of ln 100 float32 loses digits: timm's own gradients would be off by 5e-5.
        return (np.log(10) + noise).astype(np.float32)
    if name.endswith(("running_var", "temperature")) or (len(shape) == 1 and name.endswith("weight")):
        # Weights of one axis are scales of normalisations.
        return (1 + 0.3 * noise).astype(np.float32)
    if len(shape) >= 2 and name.endswith("weight"):
        return (noise * np.sqrt(3 / np.prod(shape[1:]))).astype(np.float32)
    return np.asarray(0.2 * noise, np.float32)


def image(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Gives float32 images [batch, height, width, 3], as if normalised."""
    return values("image", shape).astype(np.float32)


def split_case(case: str) -> tuple[str, int | None, int | None]:
    """Splits the name of a case, "NAME at depth 2 on 98 px", into timm's name, its depth and the side of its images.

    A depth or a side that the case does not state is None: that of the model.
    """
    case, _, side = case.removesuffix(" px").partition(" on ")
    name, _, depth = case.partition(" at depth ")
    return name, int(depth) if depth else None, int(side) if side else None


def central_token(grid: tuple[int, int]) -> tuple[int, int]:
    """The centre of an odd grid, the upper left one of the four of an even one."""
    return (grid[0] - 1) // 2, (grid[1] - 1) // 2


def sample(values: np.ndarray) -> np.ndarray:
    """Takes about 300 values at an odd stride, so that every axis is met, and appends the norm of all."""
    flat = values.reshape(-1).astype(np.float32)
    stride = max(1, flat.size // _SAMPLES) | 1
    return np.append(flat[::stride], np.float32(np.linalg.norm(flat.astype(np.float64))))


def sample_error(ours: np.ndarray, recorded: np.ndarray) -> float:
    """Computes the L2 distance of two samples over the recorded norm.

    The last value of a sample is the norm of all; it would hide errors of the others, and so is compared apart.
    """
    parts = ((ours[:-1], recorded[:-1]), (ours[-1:], recorded[-1:]))
    return max(float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs)) for mine, theirs in parts)
