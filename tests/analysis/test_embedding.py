"""Similarities of position embeddings are cosines on the grid."""

import json

import numpy as np
import pytest

from gauss_vit.analysis.embedding import analyse_embedding, similarity_maps
from gauss_vit.errors import ConfigError


def gaussian_features(grid, sigma):
    """Vectors whose cosines are all but exp(-distance^2 / (4 sigma^2)): samples of a Gaussian around each patch."""
    places = np.stack(np.meshgrid(*(np.arange(-8, side + 8, 0.5) for side in grid), indexing="ij"), axis=-1).reshape(
        -1, 2
    )
    patches = np.stack(np.indices(grid), axis=-1).reshape(-1, 2)
    squared = np.square(patches[:, None] - places[None]).sum(axis=-1)
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)


def test_similarities_are_cosines_of_pairs():
    embedding = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    maps = similarity_maps(embedding, grid=(2, 3))
    for one in range(6):
        for other in range(6):
            a, b = embedding[one].astype(np.float64), embedding[other].astype(np.float64)
            expected = a @ b / np.sqrt((a @ a) * (b @ b))
            assert maps[one // 3, one % 3, other // 3, other % 3] == pytest.approx(expected, abs=1e-12)


def test_a_patch_is_wholly_similar_to_itself_and_scale_does_not_matter():
    embedding = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    maps = similarity_maps(embedding, grid=(3, 4))
    np.testing.assert_allclose(np.einsum("ijij->ij", maps), 1)
    scaled = embedding * np.random.default_rng(1).uniform(0.1, 9, (12, 1)).astype(np.float32)
    np.testing.assert_allclose(similarity_maps(scaled, grid=(3, 4)), maps, atol=1e-6)


def test_prefix_tokens_are_left_out():
    embedding = np.random.default_rng(0).normal(size=(14, 5)).astype(np.float32)
    np.testing.assert_array_equal(similarity_maps(embedding, grid=(3, 4)), similarity_maps(embedding[2:], grid=(3, 4)))


def test_zeros_are_similar_to_nothing():
    analysis = analyse_embedding(np.zeros((12, 4), np.float32), grid=(3, 4))
    assert (analysis.similarity == 0).all()
    assert json.loads(json.dumps(analysis.to_json(), allow_nan=False))["fit"]["r_squared"] is None


@pytest.mark.parametrize("grid", [(12, 12), (10, 14)])
def test_the_fit_finds_the_width_of_the_similarity(grid):
    # Gaussians of width sigma have cosines of width sigma sqrt(2); minima are near 0.
    analysis = analyse_embedding(gaussian_features(grid, 1.2), grid=grid)
    assert analysis.token == ((grid[0] - 1) // 2, (grid[1] - 1) // 2)
    assert analysis.fit.sigma_x == pytest.approx(1.2 * np.sqrt(2), rel=1e-3)
    assert analysis.fit.sigma_y == pytest.approx(1.2 * np.sqrt(2), rel=1e-3)
    assert (analysis.fit.center_y, analysis.fit.center_x) == pytest.approx(analysis.token, abs=1e-2)


def test_another_patch_can_be_fitted():
    analysis = analyse_embedding(gaussian_features((10, 14), 1.0), grid=(10, 14), token=(7, 3))
    assert (analysis.fit.center_y, analysis.fit.center_x) == pytest.approx((7, 3), abs=1e-2)
    assert analysis.to_json()["token"] == [7, 3]


def test_too_few_vectors_are_refused():
    with pytest.raises(ConfigError, match="12 patches, got 11"):
        similarity_maps(np.ones((11, 4), np.float32), grid=(3, 4))
