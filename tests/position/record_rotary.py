"""Records rotary embeddings of timm: python tests/position/record_rotary.py (needs torch and timm, run with 1.0.31)."""

from pathlib import Path

import numpy as np
import torch
from timm.layers import RotaryEmbeddingCat, RotaryEmbeddingDinoV3, RotaryEmbeddingMixed, apply_rot_embed_cat

GRID, HEADS, CHANNELS = (3, 5), 2, 16
OUT = Path(__file__).parent / "rotary_reference.npz"


def main() -> None:
    """Rotates the same numbers by every embedding."""
    torch.manual_seed(0)
    values = torch.randn(1, HEADS, GRID[0] * GRID[1], CHANNELS)
    mixed = RotaryEmbeddingMixed(HEADS * CHANNELS, depth=1, num_heads=HEADS, feat_shape=GRID)
    axial = {
        "eva02": RotaryEmbeddingCat(CHANNELS, in_pixels=False, feat_shape=GRID, ref_feat_shape=(16, 16)),
        "rope_vit": RotaryEmbeddingCat(
            CHANNELS, in_pixels=False, feat_shape=GRID, temperature=100.0, grid_indexing="xy"
        ),
        "dinov3": RotaryEmbeddingDinoV3(CHANNELS, feat_shape=GRID),
    }
    found = {name: apply_rot_embed_cat(values, each.get_embed(), half=name == "dinov3") for name, each in axial.items()}
    found["mixed"] = apply_rot_embed_cat(values, mixed.get_embed()[0])
    # [batch, tokens, heads, channels]; frequencies are [2 (x, y), heads, pairs].
    arrays = {name: each.detach().transpose(1, 2).numpy() for name, each in {"values": values, **found}.items()}
    np.savez_compressed(OUT, **arrays, frequencies=mixed.freqs.detach()[:, 0].numpy())


if __name__ == "__main__":
    main()
