"""The objects of image files in one file: numbered as the images are, with their names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.inspect.prediction_results import FileDetections, image_ids
from gauss_vit.metrics.coco import Detected


@dataclass(frozen=True)
class Scores:
    """Objects with scores and nothing else."""

    scores: tuple[float, ...]

    def entries(self, *, image_id: int, category_ids: Sequence[int]) -> list[dict]:
        return [{"image_id": image_id, "category_id": category_ids[-1], "score": score} for score in self.scores]


def test_every_object_is_written_with_its_file(tmp_path: Path):
    assert isinstance(Scores(()), Detected)
    paths = [Path("a/x.jpg"), Path("b/y.jpg")]
    detections = FileDetections(paths, num_classes=3)
    detections.add(paths[1], Scores((0.5, 0.25)))
    detections.add(paths[0], Scores(()))
    detections.write(tmp_path / "new")
    assert json.loads((tmp_path / "new" / "coco_results.json").read_text()) == [
        {"image_id": 1, "category_id": 2, "score": score, "file_name": "y.jpg"} for score in (0.5, 0.25)
    ]


def test_images_keep_their_numbers_where_these_differ():
    assert list(image_ids([Path("a/07.jpg"), Path("b/7.png")]).values()) == [0, 1]
    assert list(image_ids([Path("a/000000581929.jpg"), Path("000000000009.jpg")]).values()) == [581929, 9]
