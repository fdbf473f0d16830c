"""Probes of frozen features: a nearest-neighbour classifier, and a linear classifier in closed form."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

BIAS = 100.0
"""The constant feature, so large that the penalty hardly affects the intercept."""

_SMALLEST_DEVIATION = 1e-6


def neighbour_scores(
    features: Float[Array, "batch channels"],
    bank: Float[Array, "examples channels"],
    label: Int[Array, " examples"],
    *,
    num_classes: int,
    num_neighbours: int = 20,
    temperature: float = 0.07,
) -> Float[Array, "batch classes"]:
    """Scores classes by the votes of the nearest labelled examples, each with weight exp(cosine / temperature).

    Args:
      features: features to classify.
      bank: features of labelled examples.
      label: classes of the labelled examples.
      num_classes: number of classes.
      num_neighbours: number of examples that vote, at most all of them.
      temperature: divisor of the cosine; the smaller it is, the more the nearest examples count.

    Source: Wu et al., arXiv:1805.01978; Caron et al. (DINO), arXiv:2104.14294, `eval_knn.py`.
    """
    similarity = _unit(features) @ _unit(bank).T
    cosine, nearest = jax.lax.top_k(similarity, min(num_neighbours, bank.shape[0]))
    votes = jax.nn.one_hot(label[nearest], num_classes, dtype=jnp.float32)
    return jnp.sum(votes * jnp.exp(cosine / temperature)[:, :, None], axis=1)


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """A linear classifier of standardised features.

    Attributes:
      mean: [channels], mean of the features that it was fitted to.
      deviation: [channels], their standard deviations.
      weights: [channels + 1, classes], the last row for the constant feature.
    """

    mean: Float[np.ndarray, " channels"]
    deviation: Float[np.ndarray, " channels"]
    weights: Float[np.ndarray, "inputs classes"]

    def scores(self, features: Float[np.ndarray, "batch channels"]) -> Float[np.ndarray, "batch classes"]:
        """Computes a score for every class; the highest is the prediction."""
        return _with_bias((features.astype(np.float64) - self.mean) / self.deviation) @ self.weights


def fit_least_squares(
    features: Float[np.ndarray, "examples channels"],
    label: Int[np.ndarray, " examples"],
    *,
    num_classes: int,
    penalty: float = 1024.0,
) -> LinearProbe:
    """Fits targets of 1 for the class and -1 for the others by least squares with an L2 penalty, in closed form.

    W = (X'X + penalty I)^-1 X'Y, with X the standardised features and a constant. In float64; of the two
    equivalent forms the one with the smaller matrix is solved.

    Args:
      features: features of the labelled examples.
      label: their classes.
      num_classes: number of classes.
      penalty: factor of the sum of all squared weights.

    Source: the few-shot evaluator of big_vision (`fewshot_lsr`).
    """
    values = features.astype(np.float64)
    mean, deviation = values.mean(axis=0), np.maximum(values.std(axis=0), _SMALLEST_DEVIATION)
    inputs = _with_bias((values - mean) / deviation)
    targets = 2.0 * np.eye(num_classes)[label] - 1.0
    if inputs.shape[0] < inputs.shape[1]:
        gram = inputs @ inputs.T + penalty * np.eye(inputs.shape[0])
        weights = inputs.T @ np.linalg.solve(gram, targets)
    else:
        covariance = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
        weights = np.linalg.solve(covariance, inputs.T @ targets)
    return LinearProbe(mean=mean, deviation=deviation, weights=weights)


def few_of_each(label: Int[np.ndarray, " examples"], num_shots: int, *, seed: int) -> Int[np.ndarray, " chosen"]:
    """Draws `num_shots` examples of every class, or all if there are fewer; returns their indices in order."""
    order = np.random.default_rng(seed).permutation(len(label))
    chosen = [order[label[order] == value][:num_shots] for value in np.unique(label)]
    return np.sort(np.concatenate(chosen))


def _unit(features: Float[Array, "batch channels"]) -> Float[Array, "batch channels"]:
    values = features.astype(jnp.float32)
    length = jnp.sqrt(jnp.sum(jnp.square(values), axis=-1, keepdims=True))
    return values / jnp.maximum(length, 1e-12)


def _with_bias(features: Float[np.ndarray, "batch channels"]) -> Float[np.ndarray, "batch inputs"]:
    return np.concatenate([features, np.full((len(features), 1), BIAS)], axis=1)
