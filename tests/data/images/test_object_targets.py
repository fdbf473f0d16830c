"""Objects that move with their image, beside MMDetection's transforms; masks in their boxes beside RoIAlign."""

import io
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gauss_vit.batches import MAX_OBJECTS, OBJECT_MASK_SIZE, Boxes, no_objects
from gauss_vit.data.examples import Example
from gauss_vit.data.images.geometry import Crop, Flip
from gauss_vit.data.images.object_targets import AnnotatedObjects, moved_objects
from gauss_vit.data.images.outlines import Runs
from gauss_vit.data.images.preprocess import View
from gauss_vit.data.images.preprocess_objects import preprocess_learned, preprocess_measured
from gauss_vit.data.images.random_scale_crop import ScaledCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit, size_to_fit
from gauss_vit.data.images.transforms import RandomFlip, Transform
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.ops.detection.roi_align import roi_align_adaptive
from tests.data.images.mmdet_cases import CASES, Case, drawn_bitmaps, drawn_boxes, drawn_image

RECORD = np.load(Path(__file__).with_name("mmdet.npz"))
ROOM = (160, 160)
LEVEL = 1 / 255
"""A share is rounded to whole levels, and its samples are float32."""


def runs(bitmap: np.ndarray) -> Runs:
    """Run lengths of a bitmap, column by column."""
    flat = np.concatenate([[False], bitmap.T.ravel(), [bitmap.T.ravel()[-1] ^ True]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return Runs(lengths=np.diff(ends, prepend=0).astype(np.uint32))


def objects_of(bitmaps: np.ndarray, yxyx: np.ndarray) -> AnnotatedObjects:
    """Objects of classes 0, 1, ..."""
    return AnnotatedObjects(
        boxes=Boxes(yxyx=yxyx.astype(np.float32)),
        label=np.arange(len(yxyx), dtype=np.int32),
        outlines=tuple(map(runs, bitmaps)),
        size=np.asarray(bitmaps.shape[1:], np.int32),
        image_id=np.int32(5),
    )


def example_of(case: Case) -> Example:
    file = io.BytesIO()
    Image.fromarray(drawn_image(case)).save(file, format="PNG")
    objects = objects_of(drawn_bitmaps(case).astype(bool), drawn_boxes(case))
    return Example(image=file.getvalue(), targets=objects, name="a.png")


def transforms_of(case: Case) -> tuple[Transform, ...]:
    """The transforms with the draws of a case."""
    steps: list[Transform] = [RandomFlip(probability=float(case.is_flipped))]
    size = case.image_size
    if case.crop is not None and case.short_side_before_crop is not None:
        scaled = size_to_fit(size, scale=(case.longest_side, case.short_side_before_crop))
        steps.append(ScaledCrop(scaled_size=scaled, yxyx=case.crop))
        size = (case.crop[2] - case.crop[0], case.crop[3] - case.crop[1])
    scaled = size_to_fit(size, scale=(case.longest_side, case.short_side))
    return (*steps, ScaledCrop(scaled_size=scaled, yxyx=(0, 0, *scaled)))


def learned(case: Case, **changes) -> View:
    arguments = {"transforms": transforms_of(case), "image_size": ROOM, "padded_size": ROOM, "key": 1} | changes
    return preprocess_learned(example_of(case), **arguments)


@pytest.mark.parametrize("name", CASES)
def test_pixels_and_boxes_are_those_of_mmdetection(name):
    view, kept = learned(CASES[name]), RECORD[f"{name}.kept"]
    np.testing.assert_array_equal(view.pixels, RECORD[f"{name}.image"])
    rows = np.flatnonzero(view.targets.boxes.yxyx.any(axis=1))
    np.testing.assert_array_equal(rows, kept)
    np.testing.assert_array_equal(view.targets.label[rows], kept)
    # Coordinates below 256 px after four float32 operations there.
    np.testing.assert_allclose(view.targets.boxes.yxyx[rows], RECORD[f"{name}.yxyx"], rtol=0, atol=256 * 2.0**-22)
    assert view.targets.size.tolist() == list(view.pixels.shape[:2])
    assert view.targets.original_size.tolist() == list(CASES[name].image_size)
    assert (int(view.targets.image_id), view.is_flipped) == (5, False)


@pytest.mark.parametrize("name", [name for name in CASES if len(RECORD[f"{name}.kept"])])
def test_masks_are_mmdetections_in_their_boxes(name):
    view = learned(CASES[name])
    height, width, _ = view.pixels.shape
    bitmaps = np.unpackbits(RECORD[f"{name}.bitmaps"], axis=-1)[..., :width]
    for row, bitmap, box in zip(RECORD[f"{name}.kept"], bitmaps, RECORD[f"{name}.yxyx"], strict=True):
        assert bitmap.shape == (height, width)
        share = roi_align_adaptive(
            jnp.asarray(bitmap[..., None], jnp.float32), jnp.asarray(box[None]), stride=1, bins=OBJECT_MASK_SIZE
        )[0, ..., 0]
        np.testing.assert_allclose(view.targets.masks[row] * LEVEL, share, rtol=0, atol=0.5 * LEVEL + 1e-4)


def test_rows_without_objects_are_blank():
    targets, blank = learned(CASES["without_objects"]).targets, no_objects()
    for name in ("label", "masks"):
        np.testing.assert_array_equal(getattr(targets, name), getattr(blank, name))
    np.testing.assert_array_equal(targets.boxes.yxyx, blank.boxes.yxyx)
    assert targets.boxes.yxyx.shape == (MAX_OBJECTS, 4)


def test_a_box_larger_than_the_cells_is_averaged():
    bitmap = np.zeros((300, 450), bool)
    bitmap[:, ::2] = True
    targets = moved_objects(
        objects_of(bitmap[None], np.asarray([[0.0, 0, 300, 448]])), (), image_size=(300, 450), name="a"
    )
    np.testing.assert_allclose(targets.masks[0][:, 1:-1] * LEVEL, 0.5, rtol=0, atol=LEVEL)


def test_a_mask_ends_where_the_image_of_the_file_does():
    whole = objects_of(np.ones((1, 20, 30), bool), np.asarray([[0.0, 0, 20, 30]]))
    targets = moved_objects(whole, (Crop(yxyx=(0, -10, 20, 20)),), image_size=(20, 30), name="a")
    np.testing.assert_array_equal(targets.boxes.yxyx[0], [0, 10, 20, 30])
    # Its left edge is between a pixel of the object and one that came in, a fifth of a pixel from the first cells.
    assert 127 < targets.masks[0][:, 0].min() < targets.masks[0][:, 1].min()
    assert targets.masks[0][:, 4:].min() == 255


def test_what_is_measured_has_no_objects():
    case = CASES["resized"]
    view = preprocess_measured(
        example_of(case), transform=ResizeToFit(scale=(133, 61)), image_size=ROOM, padded_size=(64, 96)
    )
    np.testing.assert_array_equal(view.pixels, RECORD["resized.image"])
    assert not view.targets.boxes.yxyx.any() and not view.targets.masks.any()
    assert (view.targets.size.tolist(), view.targets.original_size.tolist()) == ([61, 81], [48, 64])


def test_flips_that_come_last_are_made_here():
    case = CASES["resized"]
    flipped = learned(case, transforms=(*transforms_of(case), RandomFlip(probability=1.0)))
    np.testing.assert_array_equal(flipped.pixels, RECORD["resized.image"][:, ::-1])
    expected = Flip().move_boxes(RECORD["resized.yxyx"], size=(61, 81))
    np.testing.assert_allclose(flipped.targets.boxes.yxyx[:6], expected, rtol=0, atol=1e-4)
    assert not flipped.is_flipped


def test_an_image_of_another_size_than_its_annotations_is_named():
    case = CASES["resized"]
    other = example_of(case)
    example = Example(image=example_of(CASES["long"]).image, targets=other.targets, name="b.png")
    with pytest.raises(
        DataError, match=r"b\.png: the image is 31 x 90 px, its annotations are for 48 x 64 px"
    ) as caught:
        preprocess_learned(example, transforms=transforms_of(case), image_size=ROOM, padded_size=ROOM, key=1)
    assert caught.value.code == "DATA-ANN"


def test_an_image_that_does_not_fit_its_batch_is_named():
    with pytest.raises(ConfigError, match=r"make 61 x 81 px of a\.png, and batches have 64 x 64 px"):
        learned(CASES["resized"], padded_size=(64, 64))
