"""Records what timm's evaluation transform makes of small synthetic images, as timm_eval.npz beside this file.

Run where torch, torchvision and timm 1.0.31 are installed: `python tests/data/images/record_timm_eval.py`.
"""

import math
from pathlib import Path

import numpy as np

from tests.torchvision_operators import load_torchvision

load_torchvision()

from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval

IMAGE_SIZES = ((40, 57), (61, 47), (20, 90))
CASES = (
    ((32, 32), 0.9, "bicubic", "center"),
    ((31, 31), 0.875, "bilinear", "center"),
    ((24, 40), 0.9, "bicubic", "center"),
    ((41, 18), 0.8, "bilinear", "center"),
    ((48, 48), 0.95, "bicubic", "center"),
    ((32, 32), 0.95, "bicubic", "squash"),
    ((24, 40), 0.9, "bilinear", "squash"),
)


def synthetic(height: int, width: int) -> np.ndarray:
    """Waves with sharp edges: every error of a pixel or of rounding shows."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 3 + y / 7), np.cos(x * y / 50), np.sign(np.sin(y / 2 + x / 9))], -1)
    return (127.5 + 127.5 * waves).astype(np.uint8)


def main() -> None:
    """Writes inputs, settings and results."""
    record = {}
    for height, width in IMAGE_SIZES:
        image = synthetic(height, width)
        record[f"input_{height}x{width}"] = image
        for size, crop_fraction, interpolation, mode in CASES:
            transform = transforms_imagenet_eval(
                size, crop_pct=crop_fraction, interpolation=interpolation, crop_mode=mode, normalize=False
            )
            result = transform(Image.fromarray(image)).permute(1, 2, 0).numpy()
            settings = f"{size[0]}x{size[1]}_{math.floor(crop_fraction * 1000)}_{interpolation}_{mode}"
            record[f"output_{height}x{width}_{settings}"] = result
    np.savez_compressed(Path(__file__).parent / "timm_eval.npz", **record)


if __name__ == "__main__":
    main()
