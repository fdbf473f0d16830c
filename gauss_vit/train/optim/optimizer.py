"""How an optimizer's value becomes an optax gradient transformation for a parameter tree."""

import re

import optax
from jaxtyping import PyTree

from gauss_vit.train.optim.algorithms import POSITION_BIAS, VECTORS, AdamW, Lamb, Lion, Optimizer, Sgd
from gauss_vit.train.optim.lr_scale import Rates, scale_by_rates, trainable_mask
from gauss_vit.train.optim.schedule import Constant, Cosine, LearningRate, Polynomial, Schedule, Step
from gauss_vit.train.optim.trust_ratio import scale_by_trust_ratio
from gauss_vit.tree import flatten_paths, match_rules

__all__ = [
    "POSITION_BIAS",
    "VECTORS",
    "AdamW",
    "Constant",
    "Cosine",
    "Lamb",
    "Lion",
    "Optimizer",
    "Polynomial",
    "Rates",
    "Schedule",
    "Sgd",
    "Step",
    "decay_mask",
    "learning_rate",
    "make",
]


def make(optimizer: Optimizer, params: PyTree, num_steps: int) -> optax.GradientTransformation:
    """Builds the gradient transformation for one parameter tree.

    Args:
      optimizer: the value of the config.
      params: nested dict of parameters, or of their shapes; only structure and paths are read.
      num_steps: length of the run in updates.

    Raises:
      ConfigError: a pattern matches no parameter, or the schedule does not fit into the run.
    """
    clip = optax.identity()
    if optimizer.max_gradient_norm is not None:
        clip = optax.clip_by_global_norm(optimizer.max_gradient_norm)
    rate = optax.scale_by_learning_rate(learning_rate(optimizer, num_steps))
    slower = (scale_by_rates(optimizer.rates, params),) if optimizer.rates.has_factors else ()
    # The length of the chain, and where each state stands in it, are part of what a checkpoint holds.
    chain = optax.chain(clip, *_direction(optimizer, params), rate, *slower)
    if not optimizer.rates.frozen:
        return chain
    moves = trainable_mask(optimizer.rates, params)
    still = match_rules(params, [(pattern, True) for pattern in optimizer.rates.frozen], False)
    return optax.chain(optax.masked(optax.set_to_zero(), still), optax.masked(chain, moves))


def _direction(optimizer: Optimizer, params: PyTree) -> tuple[optax.GradientTransformation, ...]:
    """Turns clipped gradients into updates of rate -1, weight decay included."""
    mask = decay_mask(optimizer, params)
    decay = optax.add_decayed_weights(optimizer.weight_decay, mask=mask)
    match optimizer:
        case AdamW():
            return optax.scale_by_adam(b1=optimizer.beta1, b2=optimizer.beta2, eps=optimizer.epsilon), decay
        case Lamb():
            adam = optax.scale_by_adam(b1=optimizer.beta1, b2=optimizer.beta2, eps=optimizer.epsilon)
            return adam, decay, optax.masked(scale_by_trust_ratio(params), mask)
        case Lion():
            return optax.scale_by_lion(b1=optimizer.beta1, b2=optimizer.beta2), decay
        case Sgd():
            return decay, optax.trace(decay=optimizer.momentum)


def learning_rate(optimizer: Optimizer, num_steps: int) -> LearningRate:
    """Gives the learning rate as a function of the step.

    >>> rate = learning_rate(Sgd(learning_rate=0.1, momentum=0.9, weight_decay=0.0), 10)
    >>> [round(float(rate(step)), 3) for step in (0, 5, 10)]
    [0.1, 0.05, 0.0]
    """
    return optimizer.schedule.make(optimizer.learning_rate, num_steps)


def decay_mask(optimizer: Optimizer, params: PyTree) -> PyTree:
    """Says for every parameter whether it is weight-decayed.

    Args:
      optimizer: the value of the config.
      params: nested dict of parameters, or of their shapes.

    Returns:
      A tree of the same structure with a bool at every leaf.

    Raises:
      ConfigError: a pattern matches no parameter. Those of `POSITION_BIAS` may, as a model need not have such a bias.
    """
    paths = list(flatten_paths(params))
    rules = [
        (pattern, False)
        for pattern in optimizer.no_decay
        if pattern not in POSITION_BIAS or any(re.fullmatch(pattern, path) for path in paths)
    ]
    return match_rules(params, rules, True)
