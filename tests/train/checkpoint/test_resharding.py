"""A checkpoint of any mesh is restored onto any other with the same bits, and the same batches come after it."""

import itertools
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.train.checkpoint.reader import restore_state
from gauss_vit.train.mesh import place_batch, tree_shardings, with_shardings
from gauss_vit.train.state import TrainState
from tests.train.states import mesh_of, progress_at, writer_in
from tests.train.toy import batch_of

pytestmark = pytest.mark.full

LAYOUTS = {
    f"{count} {name}": axes
    for count in (1, 2, 4, 8)
    for name, axes in (
        ("replicated", {"data": count}),
        ("fsdp", {"data": 1, "fsdp": count}),
        ("tensor", {"data": 1, "tensor": count}),
    )
}
STEP = 3


def state_on(**axes: int) -> TrainState:
    """Makes a state with kernels that `tensor` splits and others, on a mesh."""
    keys = iter(jax.random.split(jax.random.key(STEP), 3))
    shapes = {"qkv": (2, 16, 48), "fc1": (2, 16, 64), "head": (16, 10)}
    kernels = {name: jax.random.normal(next(keys), shape, jnp.float32) for name, shape in shapes.items()}
    params = {
        "blocks": {
            "attention": {"query_key_value": {"kernel": kernels["qkv"]}},
            "mlp": {"fc1": {"kernel": kernels["fc1"]}},
        },
        "head": {"kernel": kernels["head"]},
    }
    moments = jax.tree.map(lambda leaf: leaf * 2, params)
    state = TrainState(step=jnp.asarray(STEP, jnp.int32), params=params, opt_state=(moments, ()))
    return jax.device_put(state, tree_shardings(mesh_of(**axes), state))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A workdir for every layout, with the same numbers."""
    folders = {name: tmp_path_factory.mktemp(name.replace(" ", "-")) for name in LAYOUTS}
    for name, folder in folders.items():
        with writer_in(folder) as writer:
            writer.save(state_on(**LAYOUTS[name]), progress_at(STEP))
    return folders


def test_the_layouts_are_different():
    specs = {name: str(jax.tree.map(lambda leaf: leaf.sharding, state_on(**axes))) for name, axes in LAYOUTS.items()}
    assert all("'tensor'" in text for name, text in specs.items() if name in ("2 tensor", "4 tensor", "8 tensor"))
    assert len(set(specs.values())) == len(LAYOUTS) - 2


@pytest.mark.parametrize(("before", "after"), list(itertools.product(LAYOUTS, LAYOUTS)))
def test_every_pair_has_the_same_bits(saved: dict[str, Path], before: str, after: str):
    wanted = with_shardings(mesh_of(**LAYOUTS[after]), state_on(data=1))
    restored = restore_state(saved[before], wanted)
    chex.assert_trees_all_equal(restored.arrays, state_on(data=1))
    shardings = jax.tree.map(lambda leaf, abstract: leaf.sharding == abstract.sharding, restored.arrays, wanted)
    assert all(jax.tree.leaves(shardings))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_batches_after_it_are_the_same(layout: str):
    for step in range(STEP, STEP + 5):
        batch = batch_of(step, 16)
        placed = place_batch(batch, mesh_of(**LAYOUTS[layout]))
        chex.assert_trees_all_equal(jax.tree.map(np.asarray, placed), batch)
