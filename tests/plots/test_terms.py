"""The figure of how terms start: one row a term, one scale for all."""

import numpy as np
import pytest

from gauss_vit.analysis.term_start import TermStart
from gauss_vit.plots.terms import CLIP, MASS_CUT, terms_figure
from gauss_vit.position.term import MASKED

GRID = (2, 3)


def start(label, heads, *, mask=False):
    tables = np.linspace(-9, 1, heads * 15, dtype=np.float32).reshape(heads, 3, 5)
    if mask:
        tables[0, 0] = MASKED
    field = np.ones((4, 6)) / 24
    return TermStart(label=label, tables=tables, field=field, grid=GRID)


@pytest.fixture(scope="module")
def figure():
    return terms_figure((start("own", 2, mask=True), start("shared", 1)), title="two terms")


def images_of(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_every_head_has_a_panel_beside_the_receptive_field(figure):
    assert len(images_of(figure)) == (1 + 2) + (1 + 1)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel() in ("own", "shared")] == ["own", "shared"]
    assert "all heads" in {text.get_text() for axes in figure.axes for text in axes.texts}


def test_tables_share_a_scale_and_fields_another(figure):
    scales = sorted({(image.norm.vmin, image.norm.vmax) for image in images_of(figure)})
    assert scales == [(-CLIP, CLIP), (0.0, pytest.approx(100 / 24 / MASS_CUT))]


def test_masked_offsets_are_left_out(figure):
    table = images_of(figure)[1].get_array()
    assert table.mask[0].all() and not table.mask[1:].any()
