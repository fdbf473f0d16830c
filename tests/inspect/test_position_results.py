"""Result files of positions: the arrays of layers that differ in their heads."""

import numpy as np

from gauss_vit.analysis.attention import ImageAttention, LayerAttention
from gauss_vit.inspect.position_results import attention_arrays


def layer(num_heads: int) -> LayerAttention:
    ones = np.ones(num_heads)
    return LayerAttention(
        distance=ones,
        distance_px=8 * ones,
        entropy=2 * ones,
        even_distance_px=1.0,
        even_entropy=1.0,
        patch_size=(8, 8),
    )


def test_missing_heads_are_not_a_number():
    attention = ImageAttention(
        layers=(layer(1), layer(2)),
        num_images=1,
        photos=np.zeros((1, 8, 8, 3), np.uint8),
        token=(0, 0),
        rollout=None,
        class_rollout=None,
    )
    arrays = attention_arrays(attention)
    np.testing.assert_array_equal(arrays["distance"], [[1, np.nan], [1, 1]])
    np.testing.assert_array_equal(arrays["distance_px"], [[8, np.nan], [8, 8]])
    assert sorted(arrays) == ["distance", "distance_px", "entropy", "token"]
