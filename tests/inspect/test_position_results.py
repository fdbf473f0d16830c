"""Result files of positions: layers that differ in their heads, and what is said where no Gaussian fits."""

from pathlib import Path

import numpy as np
import pytest

from gauss_vit.analysis.attention import ImageAttention, LayerAttention
from gauss_vit.analysis.embedding import analyse_embedding
from gauss_vit.analysis.position import analyse_position
from gauss_vit.inspect.position_results import BiasResult, attention_arrays, write_biases, write_embedding
from tests.drawing import undrawn
from tests.named_models import named_of
from tests.tiny_config import MODEL


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


@pytest.mark.parametrize(
    ("flat", "expected"),
    [
        ((), "median R2 0.969"),
        ((0,), "median R2 0.969 of the 1 that have a Gaussian"),
        ((0, 1), "no layer has a Gaussian"),
    ],
)
def test_layers_without_a_gaussian_are_told_apart(tmp_path: Path, flat: tuple[int, ...], expected: str):
    y, x = np.indices((9, 9)) - 4
    tables = np.broadcast_to(np.exp(-(x**2 + y**2) / 8), (2, 1, 9, 9)).copy()
    tables[list(flat)] = 0
    result = BiasResult(stem="p", title="t", analysis=analyse_position(tables, grid=(5, 5)))
    with undrawn():
        line = write_biases(tmp_path, named_of(MODEL), result, formats=("png",))
    assert line.endswith(f"2 layers, {expected}")


def test_an_embedding_without_a_gaussian_says_so(tmp_path: Path):
    analysis = analyse_embedding(np.zeros((25, 8), np.float32), grid=(5, 5))
    with undrawn():
        assert write_embedding(tmp_path / "e", named_of(MODEL), analysis).endswith("no Gaussian fits it")
