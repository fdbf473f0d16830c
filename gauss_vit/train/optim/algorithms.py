"""Optimizers as frozen values, with their equations.

The amplitude and the width of a Gaussian position bias are never weight-decayed by default: decay would pull the width
to zero, whatever the data say.
"""

import dataclasses
import math
import re
from collections.abc import Mapping

from gauss_vit.errors import ConfigError
from gauss_vit.train.optim.lr_scale import Rates
from gauss_vit.train.optim.schedule import Cosine, Schedule

_WHOLE_RUN = Cosine()
_SAME_RATE = Rates()

POSITION_BIAS = (r"(.*\.)?(amplitude|sigma)(_[a-z0-9]+)?",)
"""The parameters of every Gaussian bias; the model need not have one."""

VECTORS = (r"(.*\.)?((\w+_)?(bias|scale)\d?|class_token|position_embed)",)
"""Biases, scales and embeddings, the parameters that timm does not decay: no_decay=POSITION_BIAS + VECTORS."""


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
      rates: which parameters move slower, or not at all.

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
    rates: Rates = _SAME_RATE

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        _raise_all(
            _range_errors(self.learning_rate, self.weight_decay, max_gradient_norm=self.max_gradient_norm)
            + _share_errors({"beta1": self.beta1, "beta2": self.beta2})
            + _epsilon_errors(self.epsilon)
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
      rates: which parameters move slower, or not at all.
    """

    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Schedule = _WHOLE_RUN
    max_gradient_norm: float | None = None
    no_decay: tuple[str, ...] = POSITION_BIAS
    rates: Rates = _SAME_RATE

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        _raise_all(
            _range_errors(self.learning_rate, self.weight_decay, max_gradient_norm=self.max_gradient_norm)
            + _share_errors({"momentum": self.momentum})
            + _pattern_errors(self.no_decay)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lamb:
    """Adam whose update of every layer's every array is scaled to the norm of that array: for large batches.

    With u = adam + w p the step is p <- p - rate (|p| / |u|) u; the ratio is 1 where a norm is 0, and for parameters
    without decay. Blocks that are stacked along their depth count as arrays of their own.

    Attributes:
      learning_rate: the peak of the schedule.
      weight_decay: w.
      beta1: decay of the mean of the gradients.
      beta2: decay of the mean of their squares.
      epsilon: added to the root of the second mean.
      schedule: how the learning rate moves.
      max_gradient_norm: gradients are scaled down to this global norm; None leaves them alone.
      no_decay: regular expressions of the whole paths of parameters without weight decay and without trust ratio.
      rates: which parameters move slower, or not at all.

    Source: You et al., arXiv:1904.00962, algorithm 2; the treatment of parameters without decay and the default norm
      are those of timm's `Lamb` and of apex's `FusedLAMB`, which DeiT III uses.
    """

    learning_rate: float
    weight_decay: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-6
    schedule: Schedule = _WHOLE_RUN
    max_gradient_norm: float | None = 1.0
    no_decay: tuple[str, ...] = POSITION_BIAS
    rates: Rates = _SAME_RATE

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        _raise_all(
            _range_errors(self.learning_rate, self.weight_decay, max_gradient_norm=self.max_gradient_norm)
            + _share_errors({"beta1": self.beta1, "beta2": self.beta2})
            + _epsilon_errors(self.epsilon)
            + _pattern_errors(self.no_decay)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion:
    """Moves every number by the sign of an interpolated momentum; one moment to store instead of Adam's two.

    p <- p - rate (sign(b1 m + (1 - b1) g) + w p), then m <- b2 m + (1 - b2) g. Its rate is 3 to 10 times smaller than
    that of AdamW, its weight decay as much larger.

    Attributes:
      learning_rate: the peak of the schedule.
      weight_decay: w.
      beta1: share of the momentum in the sign.
      beta2: decay of the momentum.
      schedule: how the learning rate moves.
      max_gradient_norm: gradients are scaled down to this global norm; None leaves them alone.
      no_decay: regular expressions of the whole paths of parameters without weight decay.
      rates: which parameters move slower, or not at all.

    Source: Chen et al., arXiv:2302.06675, program 1.
    """

    learning_rate: float
    weight_decay: float
    beta1: float = 0.9
    beta2: float = 0.99
    schedule: Schedule = _WHOLE_RUN
    max_gradient_norm: float | None = None
    no_decay: tuple[str, ...] = POSITION_BIAS
    rates: Rates = _SAME_RATE

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        _raise_all(
            _range_errors(self.learning_rate, self.weight_decay, max_gradient_norm=self.max_gradient_norm)
            + _share_errors({"beta1": self.beta1, "beta2": self.beta2})
            + _pattern_errors(self.no_decay)
        )


Optimizer = AdamW | Lamb | Lion | Sgd


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0.0


def _range_errors(rate: float, weight_decay: float, *, max_gradient_norm: float | None) -> list[str]:
    """Describes every value out of range that all optimizers have."""
    errors = []
    if not _is_positive(rate):
        errors.append(f"learning_rate must be a finite number > 0, got {rate}")
    if not (math.isfinite(weight_decay) and weight_decay >= 0.0):
        errors.append(f"weight_decay must be a finite number >= 0, got {weight_decay}")
    if max_gradient_norm is not None and not _is_positive(max_gradient_norm):
        errors.append(f"max_gradient_norm must be a finite number > 0 or None, got {max_gradient_norm}")
    return errors


def _share_errors(shares: Mapping[str, float]) -> list[str]:
    """Describes every named value that is no share of what is kept from step to step."""
    return [f"{name} must be in [0, 1), got {value}" for name, value in shares.items() if not 0.0 <= value < 1.0]


def _epsilon_errors(epsilon: float) -> list[str]:
    return [] if _is_positive(epsilon) else [f"epsilon must be a finite number > 0, got {epsilon}"]


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
