"""The figure of an absolute embedding has every patch's map at its place."""

import numpy as np
import pytest

from gauss_vit.analysis.embedding import analyse_embedding
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.embedding import similarity_figure


def analysed(grid):
    embedding = np.random.default_rng(0).normal(size=(grid[0] * grid[1], 6)).astype(np.float32)
    return analyse_embedding(embedding, grid=grid)


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_maps_stand_at_the_places_of_their_patches(grid):
    analysis = analysed(grid)
    mosaic, one = similarity_figure(analysis, title="a model").axes[:2]
    image = np.asarray(mosaic.images[0].get_array())
    rows, columns = grid
    for row in range(rows):
        for column in range(columns):
            part = image[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
            np.testing.assert_array_equal(part, analysis.similarity[row, column])
    np.testing.assert_array_equal(one.images[0].get_array(), analysis.similarity[analysis.token])
    assert mosaic.images[0].get_clim() == one.images[0].get_clim() == (-1, 1)


def test_large_grids_show_one_patch_in_several():
    figure = similarity_figure(analysed((15, 20)), title="a model")
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (8 * 15, 10 * 20)
    assert "one in 2 x 2" in figure.get_supxlabel()


def test_zeros_have_a_figure_without_fit():
    figure = similarity_figure(analyse_embedding(np.zeros((12, 4), np.float32), grid=(3, 4)), title="a model")
    assert "fit: none" in figure.get_supxlabel()
    assert encode(figure, "pdf", dots_per_inch=50)
