"""Position tables and learned Gaussians of ViTs and of the windows of Swin."""

import dataclasses
import functools

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.inspect.position import position_embedding, position_groups
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, with_terms, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from tests.networks import network_params
from tests.tiny_config import MODEL

SWIN = SwinConfig(
    image_size=(16, 24),
    patch_size=(2, 2),
    width=8,
    depths=(2, 1),
    num_heads=(1, 2),
    window=(4, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(
        terms=(
            RelativeTable(),
            Gaussian(sigma=0.5, unit="image"),
        )
    ),
)


@functools.cache
def params_of(config):
    return network_params(config, seed=3)


def test_tables_are_the_sum_of_the_terms_of_every_block():
    config = dataclasses.replace(
        MODEL,
        position=Position(
            terms=(
                RelativeTable(),
                Gaussian(sigma=1.0),
            )
        ),
    )
    params = params_of(config)
    (group,) = position_groups(config, params)
    tables = group.tables
    (relative,) = params["backbone"]["blocks"]["attention"]["bias"][config.position.terms[0].name].values()
    assert tables.shape == (2, 2, 3, 7)
    dy, dx = np.meshgrid(np.arange(-1, 2), np.arange(-3, 4), indexing="ij")
    gaussian = 4 * np.exp(-(dy**2 + dx**2) / 2)
    np.testing.assert_allclose(
        tables, np.asarray(relative).reshape(tables.shape) + gaussian[None, None], rtol=1e-5, atol=1e-6
    )


def test_a_model_without_position_bias_has_no_tables():
    config = without_terms(MODEL, Gaussian)
    with pytest.raises(ConfigError, match="no position bias"):
        position_groups(config, params_of(config))


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("anisotropic", [False, True])
def test_learned_sigmas_are_in_patches_whatever_their_unit(per_head, anisotropic):
    term = Gaussian(amplitude=1.5, sigma=0.5, per_head=per_head, anisotropic=anisotropic, unit="image")
    config = with_terms(MODEL, term)
    (group,) = position_groups(config, params_of(config))
    learned = group.learned
    shape = (2, 2 if per_head else 1)
    np.testing.assert_allclose(learned.amplitude, np.full(shape, 1.5))
    np.testing.assert_allclose(learned.sigma_y, np.full(shape, 1.0))
    np.testing.assert_allclose(learned.sigma_x, np.full(shape, 2.0))


def test_learned_sigmas_describe_the_table():
    config = with_terms(MODEL, Gaussian(sigma=0.7))
    params = params_of(config)
    (group,) = position_groups(config, params)
    learned, table = group.learned, group.tables[1, 0]
    expected = learned.amplitude[1] ** 2 * np.exp(-1 / (2 * learned.sigma_x[1] ** 2))
    np.testing.assert_allclose(table[1, 4], expected[0], rtol=1e-6)


def test_every_stage_of_swin_is_a_group_on_its_window():
    first, second = position_groups(SWIN, params_of(SWIN))
    assert (first.name, second.name) == ("stage0", "stage1")
    assert first.grid == second.grid == (4, 4)
    assert first.tables.shape == (2, 1, 7, 7)
    assert second.tables.shape == (1, 2, 7, 7)
    # Half of the image is 4 x 6 patches in the first stage and 2 x 3 in the second.
    np.testing.assert_allclose(first.learned.sigma_y, np.full((2, 1), 4.0))
    np.testing.assert_allclose(second.learned.sigma_x, np.full((1, 1), 3.0))


def test_a_bias_that_all_blocks_share_is_in_every_table():
    config = dataclasses.replace(MODEL, position=Position(shared=(RelativeMlp(hidden=8),)))
    (group,) = position_groups(config, params_of(config))
    assert group.learned is None
    assert np.ptp(group.tables[0]) > 0
    np.testing.assert_array_equal(group.tables[0], group.tables[1])


def test_numbers_of_shared_terms_are_there_beside_those_of_blocks():
    position = Position(terms=(Gaussian(sigma=3.0),), shared=(Gaussian(sigma=2.0),))
    config = dataclasses.replace(MODEL, position=position)
    (group,) = position_groups(config, params_of(config))
    means = {name: values.mean(axis=-1).tolist() for name, values in group.numbers.items()}
    assert means["gaussian/sigma"] == pytest.approx([3.0, 3.0])
    assert means["shared/gaussian/sigma"] == pytest.approx([2.0, 2.0])
    np.testing.assert_allclose(group.learned.sigma_y, [[3.0], [3.0]])


def test_a_gaussian_that_all_blocks_share_is_learned_in_each():
    config = dataclasses.replace(MODEL, position=Position(shared=(Gaussian(sigma=2.0),)))
    (group,) = position_groups(config, params_of(config))
    np.testing.assert_allclose(group.learned.sigma_x, [[2.0], [2.0]])


def test_the_embedding_is_that_of_the_model_and_swin_has_none():
    config = dataclasses.replace(MODEL, position=Position(terms=(Gaussian(sigma=1.0),), absolute=AbsoluteEmbedding()))
    params = params_of(config)
    np.testing.assert_array_equal(position_embedding(params), params["backbone"]["position_embed"])
    assert position_embedding(params_of(MODEL)) is None
    assert position_embedding(params_of(SWIN)) is None
