"""The observer of overlays draws the masks of evaluation images above what the parameters say of them."""

from pathlib import Path

import numpy as np
import pytest

from gauss_vit.inspect import observers, overlay_observer
from gauss_vit.plots.overlay_rows import LabelledPhoto
from tests.drawing import undrawn
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


def test_pictures_of_a_step_are_found_for_the_trackers(tmp_path: Path):
    experiment = experiment_on(write_shore(tmp_path / "shore", num_images=2))
    assert len(observers.of(experiment, tmp_path)) == 3
    assert observers.pictures(tmp_path, 7) == {}
    (tmp_path / "overlays").mkdir()
    path = tmp_path / "overlays" / "step_0000007_overlays.png"
    path.touch()
    assert observers.pictures(tmp_path, 7) == {"overlays": path}
