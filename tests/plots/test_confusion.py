"""The picture of a confusion matrix holds the shares of each true class, whatever the number of classes."""

import numpy as np
import pytest

from gauss_vit.plots.canvas import encode
from gauss_vit.plots.confusion import confusion_figure


def counts_of(num_classes: int) -> np.ndarray:
    counts = np.random.default_rng(0).integers(0, 9, (num_classes, num_classes))
    counts[1] = 0
    return counts


@pytest.mark.parametrize("num_classes", [3, 30, 100])
def test_cells_are_the_shares_of_the_true_class(num_classes: int):
    counts = counts_of(num_classes)
    figure = confusion_figure(counts, class_names=[f"$class {index}" for index in range(num_classes)], title="run")
    axes, _ = figure.axes
    shown = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
    np.testing.assert_allclose(np.nansum(shown, axis=1), np.arange(num_classes) != 1)
    assert np.isnan(shown[1]).all()
    assert len(axes.texts) == (np.count_nonzero(counts) if num_classes == 3 else 0)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (names[:1] == ["$class 0"]) == (num_classes <= 60)
    assert encode(figure, "png", dots_per_inch=50)


def test_shares_of_many_classes_are_marked_the_largest_on_top():
    counts = np.diag(np.full(100, 80)) + 15 * np.eye(100, k=1, dtype=int) + np.eye(100, k=2, dtype=int)
    figure = confusion_figure(counts, class_names=[str(index) for index in range(100)], title="run")
    (marks,) = figure.axes[0].collections
    shares = np.asarray(marks.get_array())
    assert len(shares) == 199 and np.all(np.diff(shares) >= 0)
    assert "5 %" in figure._supxlabel.get_text()


def test_names_of_any_bytes_are_drawn():
    names = ["$\\frac{", "\x1b[2J", "caf\udce9"]
    figure = confusion_figure(counts_of(3), class_names=names, title="run\udce9")
    assert encode(figure, "svg").decode().count("<!-- caf\\udce9 -->") == 2
