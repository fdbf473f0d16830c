"""Optimizers as frozen values, and how one becomes an optax gradient transformation for a parameter tree.

The amplitude and the width of a Gaussian position bias are never weight-decayed by default: decay would pull the width
to zero, whatever the data say.
"""

import dataclasses
import math
import re

import optax
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.train.schedule import Constant, Cosine, LearningRate, Schedule, Step
from gauss_vit.tree import flatten_paths, match_rules

__all__ = [
    "POSITION_BIAS",
    "AdamW",
    "Constant",
    "Cosine",
    "Optimizer",
    "Schedule",
    "Sgd",
    "Step",
    "decay_mask",
    "learning_rate",
    "make",
]

_WHOLE_RUN = Cosine()

POSITION_BIAS = (r"(.*\.)?(amplitude|sigma)(_[a-z0-9]+)?",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay, and bias correction.

    Attributes:
      learning_rate: the peak of the schedule.
      weight_decay: w in p <- p - rate (update + w p).
      beta1: decay of the mean of the gradients.
      beta2: decay of the mean of their squares.
      epsilon: added to the root of the second mean.
      schedule: how the learning rate moves.
      max_gradient_norm: gradients are scaled down to this global norm; None leaves them alone.
      no_decay: regular expressions of the whole paths of parameters without weight decay.

    Source: Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; the decay is scaled by the rate, as in torch.
    """

    learning_rate: float
    weight_decay: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    schedule: Schedule = _WHOLE_RUN
    max_gradient_norm: float | None = None
    no_decay: tuple[str, ...] = POSITION_BIAS

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        _raise_all(
            _range_errors(self.learning_rate, self.weight_decay, max_gradient_norm=self.max_gradient_norm)
            + [
                f"{name} must be in [0, 1), got {value}"
                for name, value in (("beta1", self.beta1), ("beta2", self.beta2))
                if not 0.0 <= value < 1.0
            ]
            + ([] if _is_positive(self.epsilon) else [f"epsilon must be a finite number > 0, got {self.epsilon}"])
            + _pattern_errors(self.no_decay)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum and coupled weight decay, as torch.optim.SGD.

    The update is v <- m v + (g + w p); p <- p - rate v, with v = 0 at the start.

    Attributes:
      learning_rate: the peak of the schedule.
      momentum: m.
      weight_decay: w, added to the gradient before the momentum.
      schedule: how the learning rate moves.
      max_gradient_norm: gradients, before the decay, are scaled down to this global norm; None leaves them alone.
      no_decay: regular expressions of the whole paths of parameters without weight decay.
    """

    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Schedule = _WHOLE_RUN
    max_gradient_norm: float | None = None
    no_decay: tuple[str, ...] = POSITION_BIAS

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        _raise_all(
            _range_errors(self.learning_rate, self.weight_decay, max_gradient_norm=self.max_gradient_norm)
            + ([] if 0.0 <= self.momentum < 1.0 else [f"momentum must be in [0, 1), got {self.momentum}"])
            + _pattern_errors(self.no_decay)
        )


Optimizer = AdamW | Sgd


def make(optimizer: Optimizer, params: PyTree, num_steps: int) -> optax.GradientTransformation:
    """Builds the gradient transformation for one parameter tree.

    Args:
      optimizer: the value of the config.
      params: nested dict of parameters, or of their shapes; only structure and paths are read.
      num_steps: length of the run in updates.

    Raises:
      ConfigError: a pattern of `no_decay` matches no parameter, or the schedule does not fit into the run.
    """
    clip = optax.identity()
    if optimizer.max_gradient_norm is not None:
        clip = optax.clip_by_global_norm(optimizer.max_gradient_norm)
    decay = optax.add_decayed_weights(optimizer.weight_decay, mask=decay_mask(optimizer, params))
    rate = optax.scale_by_learning_rate(learning_rate(optimizer, num_steps))
    match optimizer:
        case AdamW():
            scale = optax.scale_by_adam(b1=optimizer.beta1, b2=optimizer.beta2, eps=optimizer.epsilon)
            return optax.chain(clip, scale, decay, rate)
        case Sgd():
            return optax.chain(clip, decay, optax.trace(decay=optimizer.momentum), rate)


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


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0.0


def _range_errors(rate: float, weight_decay: float, *, max_gradient_norm: float | None) -> list[str]:
    """Describes every value out of range that both optimizers have."""
    errors = []
    if not _is_positive(rate):
        errors.append(f"learning_rate must be a finite number > 0, got {rate}")
    if not (math.isfinite(weight_decay) and weight_decay >= 0.0):
        errors.append(f"weight_decay must be a finite number >= 0, got {weight_decay}")
    if max_gradient_norm is not None and not _is_positive(max_gradient_norm):
        errors.append(f"max_gradient_norm must be a finite number > 0 or None, got {max_gradient_norm}")
    return errors


def _pattern_errors(patterns: tuple[str, ...]) -> list[str]:
    """Describes every pattern that is not a regular expression."""
    errors = []
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            errors.append(f"no_decay pattern {pattern!r} is not a regular expression: {error}")
    return errors


def _raise_all(errors: list[str]) -> None:
    """Raises one ConfigError that names every problem, if there is any."""
    if errors:
        raise ConfigError("; ".join(errors))
