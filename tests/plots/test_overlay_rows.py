"""Photos are shown with the areas of the data above those of the model."""

import numpy as np
import pytest

from gauss_vit.plots.canvas import encode
from gauss_vit.plots.overlay import tinted
from gauss_vit.plots.overlay_rows import LabelledPhoto, overlay_rows_figure
from gauss_vit.tasks.label_map import Label, LabelMap

LABELS = tuple(Label(name=f"thing {index}", colour=(index, 255 - index, 128)) for index in range(20))


def photo(seed: int, *, is_labelled: bool) -> LabelledPhoto:
    random = np.random.default_rng(seed)
    predicted, labelled = (
        LabelMap(values=np.full((12, 20), value, np.uint8), labels=LABELS) for value in (seed, seed + 1)
    )
    pixels = random.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    return LabelledPhoto(pixels=pixels, predicted=predicted, labelled=labelled if is_labelled else None)


def test_every_photo_has_a_column_of_what_is_there_and_what_is_found():
    photos = [photo(seed, is_labelled=seed > 0) for seed in range(3)]
    figure = overlay_rows_figure(photos, title="a run")
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    expected = [tinted(each.pixels, each.labelled) if each.labelled else each.pixels for each in photos]
    expected += [tinted(each.pixels, each.predicted) for each in photos]
    for found, wanted in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert [figure.axes[0].get_ylabel(), figure.axes[3].get_ylabel()] == ["labelled", "predicted"]
    assert encode(figure, "png", dots_per_inch=40)


@pytest.mark.parametrize(("count", "num_listed"), [(2, 2), (12, 10)])
def test_legend_lists_the_largest_labels_of_all_photos(count: int, num_listed: int):
    figure = overlay_rows_figure([photo(seed, is_labelled=False) for seed in range(count)], title="a run")
    assert len(figure.axes) == count
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == [f"thing {index}" for index in range(num_listed)]
