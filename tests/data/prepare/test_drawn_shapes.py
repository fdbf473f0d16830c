"""Drawn shapes: what is annotated is what is seen, the same for a seed, in COCO's format."""

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as masks
from pycocotools.coco import COCO

from gauss_vit.data.prepare import drawn_shapes
from gauss_vit.data.prepare.drawn_shapes import Drawing, Shape, draw, write
from gauss_vit.errors import StorageError

DRAWINGS = 12
BACK = np.array([[2.0, 2.0], [12.0, 2.0], [12.0, 10.0], [2.0, 10.0]])


@pytest.fixture(scope="module")
def drawings() -> list[Drawing]:
    return [draw(key) for key in range(DRAWINGS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return write(tmp_path_factory.mktemp("sets") / "shapes", seed=3, num_images={"train": 4, "val": 2})


def rectangle(is_covered: bool = False) -> Shape:
    mask = np.zeros((16, 20), np.bool_)
    mask[2:10, 2:12] = True
    mask[2:6, 2:5] &= not is_covered
    return Shape(label=1, corners=BACK, mask=mask)


def test_a_key_gives_one_image(drawings: list[Drawing]):
    np.testing.assert_array_equal(draw(5).pixels, drawings[5].pixels)
    assert len({drawing.pixels.tobytes() for drawing in drawings}) == DRAWINGS


def test_every_image_has_objects_of_which_half_is_seen(drawings: list[Drawing]):
    for drawing in drawings:
        assert 1 <= len(drawing.shapes) <= drawn_shapes.MOST_OBJECTS
        assert all(shape.visible_share >= 0.5 for shape in drawing.shapes)
        assert np.sum([shape.mask for shape in drawing.shapes], axis=0).max() == 1
    assert {shape.label for drawing in drawings for shape in drawing.shapes} == {0, 1, 2}


def test_objects_differ_from_the_ground_around_them(drawings: list[Drawing]):
    for drawing in drawings:
        ground = ~np.any([shape.mask for shape in drawing.shapes], axis=0)
        for shape in drawing.shapes:
            difference = np.abs(
                np.median(drawing.pixels[shape.mask], axis=0) - np.median(drawing.pixels[ground], axis=0)
            )
            assert difference.max() > 30


def test_a_whole_shape_is_a_polygon_and_a_covered_one_its_runs():
    whole = rectangle().to_coco()
    assert whole == {
        "category_id": 2,
        "bbox": [2, 2, 10, 8],
        "area": 80,
        "iscrowd": 0,
        "segmentation": [BACK.ravel().tolist()],
    }
    covered = rectangle(is_covered=True)
    found = covered.to_coco()
    assert (found["bbox"], found["area"]) == ([2, 2, 10, 8], 68)
    runs = masks.frPyObjects(found["segmentation"], 16, 20)
    np.testing.assert_array_equal(masks.decode(runs).astype(bool), covered.mask)


def test_polygons_are_drawn_by_pycocotools_as_they_are_seen(drawings: list[Drawing]):
    num_polygons = 0
    for shape in (shape for drawing in drawings for shape in drawing.shapes):
        segmentation = shape.to_coco()["segmentation"]
        if isinstance(segmentation, list):
            num_polygons += 1
            drawn = masks.decode(masks.merge(masks.frPyObjects(segmentation, *shape.mask.shape))).astype(bool)
            # They differ along the outline by less than a pixel.
            perimeter = np.linalg.norm(shape.corners - np.roll(shape.corners, 1, axis=0), axis=1).sum()
            assert np.sum(drawn != shape.mask) < perimeter / 2
    assert num_polygons > 5


def test_written_files_are_those_of_coco(folder):
    for split, number in (("train", 4), ("val", 2)):
        known = COCO(str(folder / "annotations" / f"instances_{split}.json"))
        assert [known.cats[index]["name"] for index in known.getCatIds()] == ["circle", "square", "triangle"]
        assert len(known.imgs) == number
        for entry in known.imgs.values():
            with Image.open(folder / split / entry["file_name"]) as image:
                assert image.size == (entry["width"], entry["height"])
            for annotation in known.loadAnns(known.getAnnIds(entry["id"])):
                x, y, width, height = annotation["bbox"]
                assert 0 <= x < x + width <= entry["width"] and 0 <= y < y + height <= entry["height"]
                if isinstance(annotation["segmentation"], dict):
                    assert known.annToMask(annotation).sum() == annotation["area"]


def test_splits_and_seeds_have_images_of_their_own(folder, tmp_path):
    other = write(tmp_path / "other", seed=4, num_images={"train": 1, "val": 1})
    files = [folder / "train", folder / "val", other / "train", other / "val"]
    assert len({(each / "000001.jpg").read_bytes() for each in files}) == 4


def test_a_folder_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "shapes" / "mine").mkdir(parents=True)
    with pytest.raises(StorageError, match="shapes cannot be written"):
        write(tmp_path / "shapes", num_images={"train": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]
    assert list((tmp_path / "shapes").iterdir()) == [tmp_path / "shapes" / "mine"]
