"""Files for stock models hold the rows that these have, and compute what the model computes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.assembly.export import exported
from gauss_vit.models.construct import abstract
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.names.naming import from_theirs
from tests.models.test_vit import images_for
from tests.named_models import named_of
from tests.weights.bake_models import CLASS_TOKEN


@pytest.mark.parametrize(
    "position", [Position(terms=(RelativeTable(),)), Position(shared=(RelativeTable(),))], ids=["own", "shared"]
)
def test_tables_beside_a_class_token_get_rows_of_zeros_for_it(position):
    config = dataclasses.replace(CLASS_TOKEN, position=position)
    named = named_of(config)
    written = exported(named, "timm")
    table = written.tensors["blocks.0.attn.rel_pos.relative_position_bias_table"]
    assert table.shape == (3 * 5 + 3, 2)
    np.testing.assert_array_equal(table[-3:], 0)
    graph, wanted = abstract(written.network)
    again = jax.tree.map(jnp.asarray, from_theirs(written.tensors, timm_rules(written.network), wanted))
    images = images_for(config)
    given, found = nnx.merge(abstract(named.network)[0], named.params), nnx.merge(graph, again)
    np.testing.assert_allclose(jax.jit(found)(images), jax.jit(given)(images), atol=1e-5)
