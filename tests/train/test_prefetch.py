"""Batches reach the devices before they are used, and are the same ones in the same order."""

from collections.abc import Iterator

import chex
import jax
import numpy as np
import pytest

from gauss_vit.batches import Batch
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.prefetch import AHEAD, place_ahead
from tests.train.toy import batch_of

MESH = meshes.make(MeshConfig(data=4), jax.devices())


class Host:
    """Batches of the toy; it says how many were taken."""

    def __init__(self, count: int):
        self.count = count
        self.num_taken = 0

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.count):
            self.num_taken += 1
            yield batch_of(step, 8)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_batches_are_those_of_the_host_in_their_order(count: int, ahead: int):
    found = list(place_ahead(Host(count), MESH, ahead=ahead))
    assert len(found) == count
    for step, batch in enumerate(found):
        chex.assert_trees_all_equal(jax.device_get(batch), batch_of(step, 8))


def test_batches_lie_on_the_devices_split_as_steps_want_them():
    batch = next(place_ahead(Host(3), MESH))
    expected = meshes.batch_sharding(MESH)
    assert all(leaf.sharding.is_equivalent_to(expected, leaf.ndim) for leaf in jax.tree.leaves(batch))


def test_two_more_batches_are_sent_while_a_step_runs():
    host = Host(6)
    taken = []
    for step, _ in enumerate(place_ahead(host, MESH)):
        # Here a step is started; the batch of the next one was taken, and so sent, before.
        taken.append(host.num_taken - (step + 1))
    assert AHEAD == 2
    assert taken == [1, 1, 1, 1, 1, 0]
    assert host.num_taken == 6


def test_nothing_is_taken_before_it_is_asked_for():
    host = Host(6)
    batches = place_ahead(host, MESH)
    assert host.num_taken == 0
    next(batches)
    assert host.num_taken == AHEAD


@pytest.mark.parametrize("count", [1, 3])
def test_error_of_a_batch_comes_when_it_is_asked_for(count: int):
    def broken() -> Iterator[Batch]:
        yield from Host(count)
        raise OSError("the disk of the data set is gone")

    batches = place_ahead(broken(), MESH)
    for step in range(count):
        np.testing.assert_array_equal(next(batches).targets.label, batch_of(step, 8).targets.label)
    with pytest.raises(OSError, match="data set"):
        next(batches)
