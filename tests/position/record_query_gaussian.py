"""Records Gaussians of queries and the refinement of patches by the code of LocAt (github.com/sinahmr/LocAtViT).

PYTHONPATH=LOCATVIT python tests/position/record_query_gaussian.py, with torch, timm and a clone of it at f99aac4.
"""

from pathlib import Path

import numpy as np
import torch
from models.locat import PRR, GaussianAugment

GRID, FINER, HEADS, CHANNELS, PREFIX = (3, 5), (6, 9), 2, 8, 1
OUT = Path(__file__).parent / "query_gaussian_reference.npz"


def main() -> None:
    """Adds Gaussians on the grid of training and on a finer one, and refines tokens."""
    torch.manual_seed(0)
    gaussian = GaussianAugment(HEADS * CHANNELS, HEADS)
    gaussian.command(GRID, PREFIX, store_metrics=False)
    queries = {grid: 3 * torch.randn(2, HEADS, PREFIX + grid[0] * grid[1], CHANNELS) for grid in (GRID, FINER)}
    added = gaussian(queries[GRID])
    gaussian.set_grid_size(FINER)
    finer = gaussian(queries[FINER])
    tokens = torch.randn(2, PREFIX + GRID[0] * GRID[1], HEADS * CHANNELS)
    arrays = {
        "query": queries[GRID].transpose(1, 2),
        "finer_query": queries[FINER].transpose(1, 2),
        "logits": added,
        "finer_logits": finer,
        "variance_kernel": gaussian.log_var.weight.T,
        "variance_bias": gaussian.log_var.bias,
        "strength_kernel": gaussian.log_alpha.weight.T,
        "strength_bias": gaussian.log_alpha.bias,
        "tokens": tokens,
        "refined": PRR(HEADS * CHANNELS, HEADS)(tokens),
    }
    np.savez_compressed(OUT, **{name: each.detach().numpy() for name, each in arrays.items()})


if __name__ == "__main__":
    main()
