"""Records timm's resampling of position embeddings and relative tables, for machines without torch.

Run it where torch, torchvision and timm are installed:  python -m tests.ops.record_resize
It writes tests/ops/resize_reference.npz: `absolute.SOURCE.TARGET` and `relative.SOURCE.TARGET`, grids as HEIGHTxWIDTH.
"""

from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table

from tests.models import deterministic

GRIDS = (((14, 14), (24, 24)), ((14, 14), (7, 7)), ((14, 14), (10, 18)), ((6, 9), (11, 5)), ((7, 7), (12, 12)))
HEADS, CHANNELS = 3, 2


def absolute(source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """Resamples [1, 1 + tokens, channels], a class token first."""
    values = deterministic.values("absolute", (1, 1 + source[0] * source[1], CHANNELS)).astype(np.float32)
    return resample_abs_pos_embed(torch.from_numpy(values), target, source, num_prefix_tokens=1).numpy()


def relative(source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """Resamples [offsets, heads]."""
    offsets, wanted = ((2 * grid[0] - 1) * (2 * grid[1] - 1) for grid in (source, target))
    values = torch.from_numpy(deterministic.values("relative", (offsets, HEADS)).astype(np.float32))
    return resize_rel_pos_bias_table(values, target, (wanted, HEADS), source).numpy()


def main() -> None:
    """Records every pair of grids."""
    recorded = {}
    for source, target in GRIDS:
        name = "{}x{}.{}x{}".format(*source, *target)
        recorded[f"absolute.{name}"] = absolute(source, target)
        recorded[f"relative.{name}"] = relative(source, target)
    np.savez_compressed(Path(__file__).with_name("resize_reference.npz"), **recorded)


if __name__ == "__main__":
    main()
