"""The observer of overlays draws what the data say of evaluation images above what the parameters say of them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.inspect import observers, overlay_observer
from gauss_vit.plots.overlay_rows import LabelledPhoto
from tests.data import objects_config
from tests.drawing import undrawn
from tests.heads.detectors import NETWORK, params_of
from tests.segmenter import CLASSES, experiment_on, segmenter, write_shore


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[LabelledPhoto, ...]]:
    """What is drawn."""
    kept, draw = [], overlay_observer.overlay_rows_figure
    monkeypatch.setattr(
        overlay_observer,
        "overlay_rows_figure",
        lambda photos, *, title: kept.append(photos) or draw(photos, title=title),
    )
    return kept


def test_evaluation_images_are_drawn_with_their_masks_and_predictions(tmp_path: Path, drawn):
    experiment = experiment_on(write_shore(tmp_path / "shore", num_images=3))
    observe = overlay_observer.overlay_observer(experiment, tmp_path, run="shore")
    with undrawn():
        assert observe(7, segmenter().params) == {}
    assert (tmp_path / "step_0000007_overlays.png").is_file()
    (photos,) = drawn
    assert len(photos) == 3
    for photo in photos:
        assert photo.pixels.shape == (16, 32, 3)
        assert [label.name for label in photo.predicted.labels] == list(CLASSES)
        assert len(photo.predicted.by_share()) > 1
        np.testing.assert_array_equal(photo.labelled.values[0, [2, 16, 30]], [0, 1, 2])
    assert photos[0].predicted.labels == photos[0].labelled.labels


def write_boxes(root: Path) -> Path:
    """An image of twice the model's size with one object, and one without any."""
    (root / "images").mkdir(parents=True)
    for name in ("0.png", "1.png"):
        Image.new("RGB", (192, 128), "teal").save(root / "images" / name)
    images = [{"id": index, "file_name": f"{index}.png", "height": 128, "width": 192} for index in (0, 1)]
    box = {"id": 1, "image_id": 0, "category_id": 2, "bbox": [20, 40, 60, 30], "area": 1800, "iscrowd": 0}
    categories = [{"id": index, "name": name} for index, name in enumerate(("disc", "box", "star"))]
    content = {"images": images, "categories": categories, "annotations": [box]}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def test_objects_of_the_data_are_drawn_at_the_size_of_the_model(tmp_path: Path, drawn):
    experiment = objects_config.get_config()
    data = dataclasses.replace(
        experiment.data, name="coco_folder", data_dir=str(write_boxes(tmp_path / "set")), eval_split="all"
    )
    observe = overlay_observer.overlay_observer(dataclasses.replace(experiment, data=data), tmp_path, run="boxes")
    with undrawn():
        observe(3, params_of(NETWORK))
    (photos,) = drawn
    first, second = (photo.labelled for photo in photos)
    (found,) = first.boxes
    assert (found.yxyx, found.caption) == ((20.0, 10.0, 35.0, 40.0), "star")
    expected = np.full((64, 96), 255, np.uint8)
    expected[20:35, 10:40] = 0
    np.testing.assert_array_equal(first.values, expected)
    assert second.boxes == () and set(second.values.ravel()) == {255}


def test_pictures_of_a_step_are_found_for_the_trackers(tmp_path: Path):
    experiment = experiment_on(write_shore(tmp_path / "shore", num_images=2))
    assert len(observers.of(experiment, tmp_path)) == 3
    assert observers.pictures(tmp_path, 7) == {}
    (tmp_path / "overlays").mkdir()
    path = tmp_path / "overlays" / "step_0000007_overlays.png"
    path.touch()
    assert observers.pictures(tmp_path, 7) == {"overlays": path}
