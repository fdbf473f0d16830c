"""Update rules as frozen values, with their equations.

A rule maps clipped gradients to updates, which are then multiplied by minus the learning rate.
"""

import dataclasses
import math
from collections.abc import Mapping

import optax
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.train.optim.trust_ratio import scale_by_trust_ratio

Steps = tuple[optax.GradientTransformation, ...]
"""Parts of a rule, in order; each has its own entry in the optimizer's state, and so in a checkpoint."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with bias correction and decoupled weight decay: p <- p - rate (update + w p).

    Attributes:
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.
      eps: constant added to the root of the second mean.

    Raises:
      ConfigError: one or more values are out of range; all are named.

    Source: Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; the decay is scaled by the rate, as in torch.
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        _check(decays={"b1": self.b1, "b2": self.b2}, eps=self.eps)

    def transform(self, decay: optax.GradientTransformation, *, mask: PyTree, params: PyTree) -> Steps:
        """Returns the parts of the rule, including the given weight decay."""
        del mask, params
        return optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps), decay


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum and coupled weight decay, as torch.optim.SGD.

    The update is v <- m v + (g + w p); p <- p - rate v, with v = 0 at the start. The clipped gradient is g.

    Attributes:
      momentum: factor m.

    Raises:
      ConfigError: the momentum is out of range.
    """

    momentum: float

    def __post_init__(self) -> None:
        _check(decays={"momentum": self.momentum})

    def transform(self, decay: optax.GradientTransformation, *, mask: PyTree, params: PyTree) -> Steps:
        """Returns the parts of the rule, including the given weight decay."""
        del mask, params
        return decay, optax.trace(decay=self.momentum)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LAMB:
    """Adam for large batches: the update of each array of each layer is scaled to the norm of that array.

    With u = adam + w p the step is p <- p - rate (|p| / |u|) u; the ratio is 1 where a norm is 0, and for parameters
    without decay. Blocks that are stacked along their depth count as arrays of their own. timm and apex clip gradients
    to a global norm of 1 with it: set `max_gradient_norm`.

    Attributes:
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.
      eps: constant added to the root of the second mean.

    Raises:
      ConfigError: one or more values are out of range; all are named.

    Source: You et al., arXiv:1904.00962, algorithm 2; the treatment of parameters without decay is that of timm's
      `Lamb` and of apex's `FusedLAMB`, which DeiT III uses.
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-6

    def __post_init__(self) -> None:
        _check(decays={"b1": self.b1, "b2": self.b2}, eps=self.eps)

    def transform(self, decay: optax.GradientTransformation, *, mask: PyTree, params: PyTree) -> Steps:
        """Returns the parts of the rule, including the given weight decay.

        Args:
          decay: factor of the weight decay.
          mask: whether each parameter is decayed.
          params: nested dict of parameters, or of their shapes.
        """
        adam = optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps)
        return adam, decay, optax.masked(scale_by_trust_ratio(params), mask)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion:
    """Updates by the sign of an interpolated momentum, with one stored moment instead of Adam's two.

    p <- p - rate (sign(b1 m + (1 - b1) g) + w p), then m <- b2 m + (1 - b2) g. Its rate is 3 to 10 times smaller than
    that of AdamW, and its weight decay as many times larger.

    Attributes:
      b1: share of the momentum in the sign.
      b2: decay of the momentum.

    Raises:
      ConfigError: one or more values are out of range; all are named.

    Source: Chen et al., arXiv:2302.06675, program 1.
    """

    b1: float = 0.9
    b2: float = 0.99

    def __post_init__(self) -> None:
        _check(decays={"b1": self.b1, "b2": self.b2})

    def transform(self, decay: optax.GradientTransformation, *, mask: PyTree, params: PyTree) -> Steps:
        """Returns the parts of the rule, including the given weight decay."""
        del mask, params
        return optax.scale_by_lion(b1=self.b1, b2=self.b2), decay


Rule = AdamW | LAMB | Lion | SGD


def _check(*, decays: Mapping[str, float], eps: float | None = None) -> None:
    """Raises a ConfigError that names every value out of range."""
    errors = [f"{name} must be in [0, 1), got {value}" for name, value in decays.items() if not 0.0 <= value < 1.0]
    if eps is not None and not (math.isfinite(eps) and eps > 0.0):
        errors.append(f"eps must be a finite number > 0, got {eps}")
    if errors:
        raise ConfigError("; ".join(errors))
