"""Folders in COCO's layout with drawn images, whose objects are ellipses, triangles and one crowd of run lengths."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZES = ((60, 80), (90, 50), (64, 64))
"""(height, width) of the images; the last one has no annotations."""
CLASS_IDS = {3: "cat", 1: "dog", 90: "bird"}
CLASS_NAMES = ("dog", "cat", "bird")
IDS = (139, 25, 7)


def document() -> dict[str, Any]:
    """The annotations of three drawn images, as JSON decodes them."""
    images = [
        {"id": number, "file_name": f"{number:012d}.png", "height": height, "width": width, "license": 1}
        for number, (height, width) in zip(IDS, SIZES, strict=True)
    ]
    annotations = [
        _annotation(11, image=139, label=3, polygons=[_ellipse(30, 20, 15, 10), [50.5, 30, 70, 30.25, 60, 55]]),
        _annotation(12, image=139, label=90, polygons=[[5, 40, 25, 40, 25, 58]]),
        _annotation(13, image=25, label=1, polygons=[_ellipse(25, 45, 20, 30)]),
        {**_annotation(14, image=139, label=3, polygons=[]), "iscrowd": 1, **_crowd((60, 80))},
    ]
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in CLASS_IDS.items()]
    return {"info": {"year": 2017}, "images": images, "annotations": annotations, "categories": categories}


def write_images(folder: Path) -> None:
    """Draws the images into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in zip(IDS, SIZES, strict=True):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:012d}.png")


def make_coco(root: Path, annotations: str = "annotations/instances_train2017.json", images: str = "train2017") -> Path:
    """Writes a split in COCO's layout, or with other names; returns the root."""
    write_images(root / images)
    path = root / annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document()))
    return root


def _annotation(number: int, *, image: int, label: int, polygons: list[list[float]]) -> dict[str, Any]:
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons]) if polygons else np.zeros((1, 2))
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    box = [x0, y0, x1 - x0, y1 - y0]
    return {
        "id": number,
        "image_id": image,
        "category_id": label,
        "iscrowd": 0,
        "bbox": box,
        "area": box[2] * box[3] / 2,
        "segmentation": polygons,
    }


def _crowd(size: tuple[int, int]) -> dict[str, Any]:
    """Rows 10 to 29 of columns 40 to 59."""
    height, width = size
    counts = [40 * height + 10, *[20, height - 20] * 19, 20, height - 30 + (width - 60) * height]
    return {"segmentation": {"size": [height, width], "counts": counts}, "bbox": [40, 10, 20, 20], "area": 400}


def _ellipse(x: float, y: float, a: float, b: float) -> list[float]:
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    points = np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)
    return np.round(points, 2).ravel().tolist()
