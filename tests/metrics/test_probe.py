"""Probes of frozen features against numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.metrics.probe import BIAS, few_of_each, fit_least_squares, neighbour_scores

RANDOM = np.random.default_rng(0)


def test_neighbours_vote_by_their_cosine():
    features, bank = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=(30, 4))
    label = RANDOM.integers(3, size=30)
    expected = np.zeros((5, 3))
    for row, query in enumerate(features):
        cosine = bank @ query / np.linalg.norm(bank, axis=1) / np.linalg.norm(query)
        for index in np.argsort(-cosine)[:7]:
            expected[row, label[index]] += np.exp(cosine[index] / 0.1)
    actual = neighbour_scores(
        jnp.asarray(features, jnp.float32),
        jnp.asarray(bank, jnp.float32),
        jnp.asarray(label, jnp.int32),
        num_classes=3,
        num_neighbours=7,
        temperature=0.1,
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-4)  # exp(cosine / 0.1) of a float32 cosine


def test_more_neighbours_than_examples_is_all():
    bank = jnp.asarray(RANDOM.normal(size=(3, 4)), jnp.float32)
    label = jnp.asarray([0, 1, 1], jnp.int32)
    few, many = (neighbour_scores(bank, bank, label, num_classes=2, num_neighbours=number) for number in (3, 50))
    np.testing.assert_array_equal(few, many)


@pytest.mark.parametrize("num_examples", [8, 60])
def test_weights_solve_the_penalised_normal_equations(num_examples: int):
    features = RANDOM.normal(size=(num_examples, 12)) * 3 + 1
    label = np.arange(num_examples) % 4
    probe = fit_least_squares(features, label, num_classes=4, penalty=2.5)
    inputs = np.concatenate(
        [(features - features.mean(axis=0)) / features.std(axis=0), np.full((num_examples, 1), BIAS)], axis=1
    )
    targets = np.where(np.arange(4) == label[:, None], 1.0, -1.0)
    gradient = inputs.T @ (inputs @ probe.weights - targets) + 2.5 * probe.weights
    np.testing.assert_allclose(gradient, np.zeros_like(gradient), atol=1e-6)
    np.testing.assert_allclose(probe.scores(features), inputs @ probe.weights, rtol=1e-9, atol=1e-9)


def test_classes_apart_are_told_apart_and_a_constant_channel_does_no_harm():
    label = np.repeat(np.arange(3), 20)
    features = np.concatenate([np.eye(3)[label] + 0.1 * RANDOM.normal(size=(60, 3)), np.ones((60, 1))], axis=1)
    probe = fit_least_squares(features.astype(np.float32), label, num_classes=3, penalty=1.0)
    assert (probe.scores(features).argmax(axis=1) == label).all()


def test_few_of_each_takes_as_many_as_there_are():
    label = np.asarray([0] * 10 + [1] * 2 + [4] * 5)
    chosen = few_of_each(label, 3, seed=1)
    assert label[chosen].tolist() == [0, 0, 0, 1, 1, 4, 4, 4]
    np.testing.assert_array_equal(chosen, few_of_each(label, 3, seed=1))
    assert chosen.tolist() != few_of_each(label, 3, seed=2).tolist()
