"""Loads what `tests.weights.write_exports` wrote for MMDetection, and compares the objects that it finds with ours.

python -m tests.weights.load_in_mmdet FOLDER    (needs what `tests.heads.mmdet_models` needs, and not JAX)

It prints a line for every case: the largest differences of the boxes and of the scores, and how many pixels of the
masks differ. The labels have to be equal.
"""

import json
import sys
from pathlib import Path

import mmengine
import numpy as np
import torch

from tests.heads.mmdet_models import DetDataSample, mmdet

PIXELS, SCORES, MASKS = 1e-3, 1e-5, 1e-4
"""Tolerances of boxes and scores, and the share of the masks' pixels whose probability is within rounding of a half."""


def found_in(model: torch.nn.Module, image: np.ndarray) -> dict[str, np.ndarray]:
    """Finds the objects in an image of RGB bytes; MMDetection takes BGR."""
    sample = DetDataSample(
        metainfo={"img_shape": image.shape[:2], "ori_shape": image.shape[:2], "scale_factor": (1, 1)}
    )
    pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        (predicted,) = model.eval().test_step({"inputs": [pixels], "data_samples": [sample]})
    objects = predicted.pred_instances
    return {
        "boxes": objects.bboxes.numpy()[:, [1, 0, 3, 2]],
        "scores": objects.scores.numpy(),
        "labels": objects.labels.numpy(),
        "masks": objects.masks.numpy(),
    }


def main() -> None:
    """Checks every case; the exit status is 1 if one differs."""
    failed = []
    for place in sorted(path.parent for path in Path(sys.argv[1]).absolute().glob("mmdet/*/code.json")):
        wanted, scope = np.load(place / "reference.npz"), {"mmdet": mmdet, "mmengine": mmengine}
        exec("\n".join(json.loads((place / "code.json").read_text())["file"]), scope)
        found = found_in(scope["model"], wanted["image"])
        assert np.array_equal(found["labels"], wanted["labels"]), place.name
        boxes, scores = (float(np.abs(found[name] - wanted[name]).max()) for name in ("boxes", "scores"))
        pixels = int(np.sum(found["masks"] != wanted["masks"]))
        sys.stdout.write(f"{place.name:24} {len(found['labels'])} objects, boxes {boxes:.1e}, scores {scores:.1e}, ")
        sys.stdout.write(f"{pixels} of {int(wanted['masks'].sum())} pixels\n")
        is_equal = boxes < PIXELS and scores < SCORES and pixels < MASKS * wanted["masks"].sum()
        failed += [] if is_equal else [place.name]
    sys.exit(f"differ: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
