"""Sets of results in COCO's format, made from any annotations: right, shifted, wrong, tied, empty, and in crowds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as masks

from gauss_vit.metrics.coco import encode

Entry = Mapping[str, Any]


def result_sets(truth: Mapping[str, Any], *, seed: int = 0) -> dict[str, list[Entry]]:
    """Makes seven sets by name; the annotations have masks."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    random = np.random.default_rng(seed)
    bitmaps = [(each, _bitmap(each, sizes[each["image_id"]])) for each in truth["annotations"]]
    objects = [pair for pair in bitmaps if not pair[0]["iscrowd"]]
    crowds = [pair for pair in bitmaps if pair[0]["iscrowd"]]
    perfect = [_entry(each, bitmap, each["bbox"], score=1.0) for each, bitmap in objects]
    jitter = [_shifted(each, bitmap, random) for each, bitmap in objects]
    return {
        "perfect": perfect,
        "perfect_crowds": [*perfect, *(_entry(each, bitmap, each["bbox"], score=1.0) for each, bitmap in crowds)],
        "jitter": jitter,
        "jitter_noise": _with_noise(jitter, truth, random),
        "equal_scores": [{**entry, "score": 0.5} for entry in jitter],
        "empty": [],
        "on_crowds": [*perfect, *(dot for each, bitmap in crowds for dot in _dots(each, bitmap))],
    }


def _bitmap(annotation: Entry, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    outline = annotation["segmentation"]
    if isinstance(outline, list):
        outline = masks.merge(masks.frPyObjects(outline, *size))
    elif isinstance(outline["counts"], list):
        outline = masks.frPyObjects(outline, *size)
    return masks.decode(outline).astype(bool)


def _entry(
    annotation: Entry, bitmap: Bool[np.ndarray, "height width"], box: Sequence[float], *, score: float
) -> dict[str, Any]:
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": [float(side) for side in box],
        "score": score,
        "segmentation": encode(bitmap),
    }


def _shifted(
    annotation: Entry, bitmap: Bool[np.ndarray, "height width"], random: np.random.Generator
) -> dict[str, Any]:
    """Moves an object by up to a tenth of its sides, with a score that does not tell."""
    x, y, width, height = annotation["bbox"]
    across, down = (random.uniform(-0.1, 0.1, 2) * (width, height)).tolist()
    rows, columns = np.nonzero(bitmap)
    rows, columns = rows + round(down), columns + round(across)
    is_inside = (rows >= 0) & (columns >= 0) & (rows < bitmap.shape[0]) & (columns < bitmap.shape[1])
    moved = np.zeros_like(bitmap)
    moved[rows[is_inside], columns[is_inside]] = True
    return _entry(annotation, moved, [x + across, y + down, width, height], score=float(random.random()))


def _with_noise(results: Sequence[Entry], truth: Mapping[str, Any], random: np.random.Generator) -> list[Entry]:
    """Leaves out a fifth, gives a fifth any class, and adds as many rectangles anywhere."""
    categories = [category["id"] for category in truth["categories"]]
    kept = []
    for entry in results:
        draw = random.random()
        if draw >= 0.2:
            kept.append(entry if draw >= 0.4 else {**entry, "category_id": int(random.choice(categories))})
    for _ in range(len(kept)):
        image = truth["images"][random.integers(len(truth["images"]))]
        size = np.array([image["height"], image["width"]])
        sides = random.uniform(5, size / 2)
        corner = random.uniform(0, size - sides)
        bitmap = np.zeros(size, bool)
        (top, left), (bottom, right) = corner.astype(int), (corner + sides).astype(int)
        bitmap[top:bottom, left:right] = True
        owner = {"image_id": image["id"], "category_id": int(random.choice(categories))}
        kept.append(_entry(owner, bitmap, [*corner[::-1], *sides[::-1]], score=0.7 * float(random.random())))
    return kept


def _dots(crowd: Entry, bitmap: Bool[np.ndarray, "height width"]) -> list[Entry]:
    """Three small detections inside a crowd."""
    rows, columns = np.nonzero(bitmap)
    dots = []
    for place in (0, len(rows) // 3, 2 * len(rows) // 3):
        dot = np.zeros_like(bitmap)
        dot[max(rows[place] - 3, 0) : rows[place] + 4, max(columns[place] - 3, 0) : columns[place] + 4] = True
        dot &= bitmap
        box = masks.toBbox(masks.encode(np.asfortranarray(dot, np.uint8))).tolist()
        dots.append(_entry(crowd, dot, box, score=1.0))
    return dots
