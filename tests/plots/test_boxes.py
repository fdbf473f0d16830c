"""Boxes have frames at their pixels, and captions that can be read."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from gauss_vit.plots.boxes import draw_boxes
from gauss_vit.plots.canvas import blank_figure
from gauss_vit.plots.overlay import overlay_figure, tinted
from gauss_vit.plots.overlay_rows import LabelledPhoto, overlay_rows_figure
from gauss_vit.tasks.label_map import Label, LabelledBox, LabelMap

DARK, LIGHT = Label(name="dog, hound", colour=(128, 0, 0)), Label(name="cup", colour=(192, 192, 64))


def axes_of(height: int, width: int):
    axes = blank_figure(4.0, 3.0).subplots()
    axes.imshow(np.zeros((height, width, 3), np.uint8))
    return axes


def test_a_frame_is_around_the_pixels_of_its_box():
    axes = axes_of(60, 100)
    boxes = (
        LabelledBox(yxyx=(30.0, 20.0, 50.0, 60.0), label=DARK, share=0.97),
        LabelledBox(yxyx=(1.0, 2.0, 9.0, 8.0), label=LIGHT),
    )
    draw_boxes(axes, boxes, inches_per_pixel=0.05, has_captions=True)
    worse, better = (patch.get_bbox().extents.tolist() for patch in axes.patches if isinstance(patch, Rectangle))
    assert (better, worse) == ([19.5, 29.5, 59.5, 49.5], [1.5, 0.5, 7.5, 8.5])
    inside, above = axes.texts
    assert (above.get_text(), above.get_va(), above.get_color()) == ("dog 97 %", "bottom", "white")
    assert (inside.get_text(), inside.get_va(), inside.get_color()) == ("cup", "top", "black")


@pytest.mark.parametrize(("left", "side"), [(10.0, "left"), (95.0, "right")])
def test_a_caption_ends_within_the_photo(left: float, side: str):
    axes = axes_of(60, 100)
    draw_boxes(
        axes,
        (LabelledBox(yxyx=(30.0, left, 50.0, 99.0), label=DARK, share=1.0),),
        inches_per_pixel=0.05,
        has_captions=True,
    )
    assert axes.texts[0].get_ha() == side


def test_captions_can_be_left_out():
    axes = axes_of(60, 100)
    draw_boxes(axes, (LabelledBox(yxyx=(3.0, 2.0, 9.0, 8.0), label=DARK),), inches_per_pixel=0.05, has_captions=False)
    assert (len(axes.patches), len(axes.texts)) == (1, 0)


def test_a_photo_in_which_nothing_is_found_is_drawn_as_it_is():
    photo, nothing = np.full((6, 10, 3), 77, np.uint8), LabelMap(values=np.full((6, 10), 255, np.uint8), labels=())
    np.testing.assert_array_equal(tinted(photo, nothing), photo)
    _, legend = overlay_figure(photo, nothing).axes
    assert not legend.texts
    overlay_rows_figure([LabelledPhoto(pixels=photo, predicted=nothing, labelled=None)], title="nothing")


def test_the_legend_of_objects_counts_them_by_name():
    boxes = tuple(LabelledBox(yxyx=(3.0, 2.0, 9.0, 8.0), label=label, share=0.5) for label in (DARK, LIGHT, LIGHT))
    values = np.full((60, 100), 255, np.uint8)
    values[3:9, 2:8] = 0
    label_map = LabelMap(values=values, labels=tuple(box.label for box in boxes), boxes=boxes)
    picture, legend = overlay_figure(np.zeros((60, 100, 3), np.uint8), label_map).axes
    assert [text.get_text() for text in legend.texts] == ["2", "cup", "1", "dog"]
    assert len(picture.texts) == 3
