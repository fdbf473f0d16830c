"""Loads what `tests.weights.write_exports` wrote for MMSegmentation, and compares its logits with ours.

python -m tests.weights.load_in_mmseg FOLDER    (needs what `tests.heads.mmseg_models` needs, and not JAX)

It prints a line for every case: the largest difference of the logits over their largest size.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from tests.heads.mmseg_models import mmseg

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
TOLERANCE = 2e-5
"""Of logits of order 1 in float32, summed in another order."""


def logits_of(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """Logits of RGB bytes at their size."""
    pixels = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    with torch.no_grad():
        return model.eval().encode_decode(inputs, [{"img_shape": images.shape[1:3]}]).numpy()


def main() -> None:
    """Checks every case; the exit status is 1 if one differs."""
    failed = []
    for place in sorted(path.parent for path in Path(sys.argv[1]).absolute().glob("mmseg/*/code.json")):
        reference, scope = np.load(place / "reference.npz"), {"mmseg": mmseg}
        exec("\n".join(json.loads((place / "code.json").read_text())["file"]), scope)
        wanted = reference["logits"]
        error = np.abs(logits_of(scope["model"], reference["images"]) - wanted).max() / np.abs(wanted).max()
        sys.stdout.write(f"{place.name:32} {error:.1e}\n")
        failed += [place.name] if not error < TOLERANCE else []
    sys.exit(f"differ: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
