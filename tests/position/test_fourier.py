"""The fixed embedding of positions against a loop, and what it is for."""

import math

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position.fourier import FourierEmbedding


@pytest.mark.parametrize("embedding", [FourierEmbedding(), FourierEmbedding(channels=6, temperature=20.0)])
def test_features_are_sines_and_cosines_of_row_and_column(embedding: FourierEmbedding):
    found = embedding.features((2, 3))
    assert found.shape == (2, 3, 2 * embedding.channels) and found.dtype == np.float32
    for row in range(2):
        for column in range(3):
            for channel in range(embedding.channels):
                rate = embedding.temperature ** (-2 * (channel // 2) / embedding.channels)
                of_parity = math.cos if channel % 2 else math.sin
                down, across = (of_parity(2 * math.pi * place * rate) for place in ((row + 1) / 2, (column + 1) / 3))
                np.testing.assert_allclose(found[row, column, channel], down, atol=1e-5)
                np.testing.assert_allclose(found[row, column, embedding.channels + channel], across, atol=1e-5)


def test_no_two_patches_have_the_same_features():
    flat = FourierEmbedding().features((14, 20)).reshape(280, -1)
    assert len(np.unique(flat, axis=0)) == 280


@pytest.mark.parametrize(
    ("change", "message"), [({"channels": 3}, "channels must be even"), ({"temperature": 0.0}, "temperature must be")]
)
def test_values_out_of_range_are_refused(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        FourierEmbedding(**change)
