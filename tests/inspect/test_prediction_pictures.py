"""Pictures of predictions: masks keep every index, and each image has files of its own."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gauss_vit.batches import IGNORED
from gauss_vit.inspect import prediction_pictures
from gauss_vit.inspect.prediction_pictures import index_mask, picture_names, write_pictures
from gauss_vit.plots.canvas import blank_figure
from gauss_vit.tasks.label_map import Label, LabelledBox, LabelMap
from tests.drawing import undrawn


def label_map(height: int, width: int, *, count: int = 150) -> LabelMap:
    values = np.random.default_rng(0).integers(0, count, (height, width), dtype=np.uint8)
    values[0, 0] = IGNORED
    labels = tuple(Label(name=str(index), colour=(index, 2 * index % 256, 255 - index)) for index in range(count))
    return LabelMap(values=values, labels=labels)


def test_mask_holds_the_indices_and_shows_their_colours():
    drawn = label_map(5, 7)
    with Image.open(io.BytesIO(index_mask(drawn))) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), drawn.values)
        seen = np.asarray(image.convert("RGB"))
    colours = np.array([label.colour for label in drawn.labels])
    np.testing.assert_array_equal(seen[1:], colours[drawn.values[1:]])


def test_names_are_those_of_the_files_and_differ():
    paths = [Path(name) for name in ("a/1.jpg", "b/1.jpg", "1-2.png", "c/1.png")]
    assert list(picture_names(paths).items()) == list(zip(paths, ["1", "1-2", "1-2-2", "1-3"], strict=True))


@pytest.mark.parametrize("shape", [(40, 60), (1, 4000)])
def test_overlay_and_mask_are_written_beside_one_another(tmp_path: Path, shape: tuple[int, int]):
    photo = Image.fromarray(np.zeros((*shape, 3), np.uint8))
    with undrawn():
        written = write_pictures(tmp_path / "new", "a.b", photo=photo, label_map=label_map(*shape))
    assert written == {kind: str(tmp_path / "new" / f"a.b_{kind}.png") for kind in ("overlay", "mask")}
    with Image.open(written["mask"]) as mask:
        assert mask.size == shape[::-1]
    assert Path(written["overlay"]).is_file()


def test_boxes_shrink_with_a_large_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn: list[LabelMap] = []

    def overlay(photo: np.ndarray, label_map: LabelMap) -> Figure:
        drawn.append(label_map)
        return blank_figure(1.0, 1.0)

    monkeypatch.setattr(prediction_pictures, "overlay_figure", overlay)
    whole = label_map(3200, 10, count=1)
    boxes = (LabelledBox(yxyx=(100.0, 2.0, 3000.0, 9.0), label=whole.labels[0], share=0.5),)
    photo = Image.new("RGB", (10, 3200))
    write_pictures(tmp_path, "x", photo=photo, label_map=dataclasses.replace(whole, boxes=boxes))
    assert drawn[0].boxes[0].yxyx == (50, 1, 1500, 4.5)


@pytest.mark.parametrize("count", [0, 1, 3, 17])
def test_no_label_stays_no_label_whatever_their_number(count: int):
    few = dataclasses.replace(label_map(2, 3, count=17), labels=label_map(1, 1).labels[:count])
    with Image.open(io.BytesIO(index_mask(few))) as image:
        np.testing.assert_array_equal(np.asarray(image), few.values)
