"""The optimizer as a config value, and its optax gradient transformation for a parameter tree."""

import dataclasses
import math
import operator
import re
from collections.abc import Collection

import jax
import optax
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.train.optim.lr_scale import LearningRateScale, scale_updates, trainable_mask
from gauss_vit.train.optim.rules import Rule
from gauss_vit.train.optim.schedule import LearningRate, Schedule
from gauss_vit.tree import match_rules

VECTORS = (r"(.*\.)?((\w+_)?(bias|scale)\d?|(class|distillation)_token|register_tokens|position_embed)",)
"""Biases, scales and embeddings, the parameters that timm does not decay."""

NORMS_AND_POSITIONS = (
    r"(backbone|head\.pyramid)\.(.*\.)?(patch_norm|norm\d?|norms\.\d+)\.(bias|scale)"
    r"|backbone\..*\.relative\.table"
    r"|backbone\.position_embed",
)
"""Layer normalisations, relative tables and absolute embeddings, the parameters of a Swin that MMSegmentation does not
decay; all other biases decay, and so does the batch normalisation of its heads."""

_WHOLE_RUN, _SAME_RATE = Schedule(), LearningRateScale()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Config of an optimizer: an update rule, and the options that all rules share.

    Attributes:
      rule: update rule with its own options.
      learning_rate: peak of the schedule.
      weight_decay: factor w; the rule defines how it is applied.
      schedule: learning rate over the run, as a share of the peak.
      max_gradient_norm: global norm that gradients are clipped to; None does not clip.
      no_decay: regular expressions of the whole paths of parameters without weight decay, besides those that the
        model's position terms exempt.
      learning_rate_scale: factors on the learning rate of parameters, and those that are frozen.

    Raises:
      ConfigError: one or more values are out of range; all are named.
    """

    rule: Rule
    learning_rate: float
    weight_decay: float
    schedule: Schedule = _WHOLE_RUN
    max_gradient_norm: float | None = None
    no_decay: tuple[str, ...] = ()
    learning_rate_scale: LearningRateScale = _SAME_RATE

    def __post_init__(self) -> None:
        norm = self.max_gradient_norm
        errors = [
            f"{name} must be a finite number {bound}, got {value}"
            for name, bound, value, is_right in (
                ("learning_rate", "> 0", self.learning_rate, self.learning_rate > 0.0),
                ("weight_decay", ">= 0", self.weight_decay, self.weight_decay >= 0.0),
                ("max_gradient_norm", "> 0 or None", norm, norm is None or norm > 0.0),
            )
            if not (is_right and (value is None or math.isfinite(value)))
        ]
        errors += [error for pattern in self.no_decay for error in _pattern_errors(pattern)]
        if errors:
            raise ConfigError("; ".join(errors))


def make(
    optimizer: Optimizer,
    params: PyTree,
    num_steps: int,
    *,
    undecayed: Collection[str] = (),
    statistics: Collection[str] = (),
) -> optax.GradientTransformation:
    """Builds the gradient transformation for one parameter tree.

    Args:
      optimizer: config of the optimizer.
      params: nested dict of parameters, or of their shapes; only structure and paths are read.
      num_steps: length of the run in updates.
      undecayed: paths of parameters that the model exempts from weight decay.
      statistics: paths of running statistics, which are left as they are; nothing is stored for them.

    Raises:
      ConfigError: a pattern matches no parameter, or the schedule does not fit into the run.
    """
    clip = optax.identity()
    if optimizer.max_gradient_norm is not None:
        clip = optax.clip_by_global_norm(optimizer.max_gradient_norm)
    mask = decay_mask(optimizer, params, undecayed=undecayed)
    decay = optax.add_decayed_weights(optimizer.weight_decay, mask=mask)
    rate = optax.scale_by_learning_rate(learning_rate(optimizer, num_steps))
    scale = optimizer.learning_rate_scale
    # A checkpoint stores the state by its index in the chain.
    chain = optax.chain(
        clip,
        *optimizer.rule.transform(decay, mask=mask, params=params),
        rate,
        *((scale_updates(scale, params),) if scale.has_factors else ()),
    )
    if not scale.frozen and not statistics:
        return chain
    is_trained = trainable_mask(scale, params, statistics=statistics)
    is_fixed = jax.tree.map(operator.not_, is_trained)
    return optax.chain(optax.masked(optax.set_to_zero(), is_fixed), optax.masked(chain, is_trained))


def learning_rate(optimizer: Optimizer, num_steps: int) -> LearningRate:
    """Returns the learning rate as a function of the step, for a run of `num_steps` updates."""
    return optimizer.schedule.learning_rate(optimizer.learning_rate, num_steps)


def decay_mask(optimizer: Optimizer, params: PyTree, *, undecayed: Collection[str] = ()) -> PyTree:
    """Returns which parameters have weight decay.

    Args:
      optimizer: config of the optimizer.
      params: nested dict of parameters, or of their shapes.
      undecayed: paths of parameters that the model exempts.

    Returns:
      A tree of the same structure with a bool at every leaf.

    Raises:
      ConfigError: a pattern or a path matches no parameter.
    """
    patterns = (*map(re.escape, undecayed), *optimizer.no_decay)
    return match_rules(params, [(pattern, False) for pattern in patterns], True)


def _pattern_errors(pattern: str) -> list[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        return [f"no_decay pattern {pattern!r} is not a regular expression: {error}"]
    return []
