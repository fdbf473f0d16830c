"""Factors on the learning rate by path and by depth, and frozen parameters.

Blocks are stacked along a leading axis, so the factor of a block's array is a vector along that axis.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Mapping

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.tree import flatten_paths, match_rules, path_of, unflatten_paths

_STACK = re.compile(r"(?P<stack>(.*\.)?\w*blocks)\..*")
_LAST = re.compile(r"(backbone\.(norm|attention_pool)|head)\..*")
_STAGE = re.compile(r".*\.stages\.\d+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningRateScale:
    """Factors on the learning rate, and with it on decoupled weight decay.

    Attributes:
      layer_decay: d in (0, 1]: parameters before the n blocks have d^(n + 1) of the rate, those of block i (from 0)
        d^(n - i), the final norm, attention pooling and the head the full rate.
      factors: pairs of a regular expression of whole paths and a further factor >= 0; the first that matches applies.
      frozen: regular expressions of whole paths of parameters that never change. Their gradients do not count in the
        global norm, and the optimizer keeps no state for them.

    Source: layer_decay is that of BEiT and of timm's `param_groups_layer_decay`.
    """

    layer_decay: float = 1.0
    factors: tuple[tuple[str, float], ...] = ()
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range or a pattern is not a regular expression; all are named.
        """
        errors = [] if 0.0 < self.layer_decay <= 1.0 else [f"layer_decay must be in (0, 1], got {self.layer_decay}"]
        for pattern, factor in self.factors:
            if not (math.isfinite(factor) and factor >= 0.0):
                errors.append(f"factors must be finite numbers >= 0, got {factor} for {pattern!r}")
        for name, patterns in (("factors", [pattern for pattern, _ in self.factors]), ("frozen", self.frozen)):
            errors += [
                f"{name} pattern {text!r} is not a regular expression" for text in patterns if not _compiles(text)
            ]
        if errors:
            raise ConfigError("; ".join(errors))

    @property
    def has_factors(self) -> bool:
        """Whether any trained parameter has a rate other than the schedule's."""
        return self.layer_decay != 1.0 or bool(self.factors)


def scale_updates(scale: LearningRateScale, params: PyTree) -> optax.GradientTransformation:
    """Builds the transformation that multiplies updates by their factors.

    Raises:
      ConfigError: a pattern matches no parameter.
    """
    factors = flatten_paths(rate_factors(scale, params))

    def multiply(updates: PyTree, _: PyTree) -> PyTree:
        # By path, as frozen parameters are masked out of the updates but not of the factors.
        return jax.tree_util.tree_map_with_path(lambda key_path, leaf: leaf * factors[path_of(key_path)], updates)

    return optax.stateless(multiply)


def trainable_mask(scale: LearningRateScale, params: PyTree, *, statistics: Collection[str] = ()) -> PyTree:
    """Returns a tree of bools: whether each parameter is trained.

    Args:
      scale: config of the frozen parameters.
      params: nested dict of parameters, or of their shapes.
      statistics: paths of running statistics, which are not trained either.

    Raises:
      ConfigError: a pattern of `frozen` or a path matches no parameter.
    """
    return match_rules(params, [(pattern, False) for pattern in (*scale.frozen, *map(re.escape, statistics))], True)


def rate_factors(scale: LearningRateScale, params: PyTree) -> PyTree:
    """Computes the factor of every parameter.

    Args:
      scale: config of the factors.
      params: nested dict of parameters, or of their shapes.

    Returns:
      A tree of float32 arrays: scalars, and [depth, 1, ...] for stacked blocks.

    Raises:
      ConfigError: a pattern of `factors` matches no parameter.
    """
    shapes = {path: tuple(leaf.shape) for path, leaf in flatten_paths(params).items()}
    by_rule = flatten_paths(match_rules(params, scale.factors, 1.0))
    depths = stack_depths(shapes)
    last = sum(depths.values()) + 1
    return unflatten_paths(
        {
            path: np.asarray(by_rule[path] * scale.layer_decay ** (last - layer_index(path, shape, depths)), np.float32)
            for path, shape in shapes.items()
        }
    )


def stack_depths(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Returns the number of blocks of every stack, in the order in which the model runs them.

    >>> stack_depths({"backbone.stages.0.blocks.norm1.scale": (2, 96), "head.linear.bias": (10,)})
    {'backbone.stages.0.blocks': 2}
    """
    found = {match["stack"]: shape[0] for path, shape in shapes.items() if (match := _STACK.fullmatch(path))}
    return {stack: found[stack] for stack in sorted(found, key=_natural)}


def layer_index(path: str, shape: tuple[int, ...], depths: Mapping[str, int]) -> np.ndarray:
    """Returns the depth of a parameter: 0 before the blocks, 1 in the first of n, n + 1 after them.

    Returns:
      A scalar, or [depth, 1, ...] with as many axes as the parameter. Patch merging counts as the first block of its
      stage.
    """
    before = dict(zip(depths, np.cumsum([0, *depths.values()]).tolist(), strict=False))
    stack = _STACK.fullmatch(path)
    if stack:
        first = 1 + before[stack["stack"]]
        return np.arange(first, first + shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    if _LAST.fullmatch(path):
        return np.asarray(sum(depths.values()) + 1)
    stage = next((stack for stack in depths if _is_of_stage(path, stack.rpartition(".")[0])), None)
    return np.asarray(0 if stage is None else 1 + before[stage])


def _is_of_stage(path: str, parent: str) -> bool:
    """Returns whether a parameter belongs to a stage but not to its blocks, as in patch merging."""
    return _STAGE.fullmatch(parent) is not None and path.startswith(f"{parent}.")


def _natural(text: str) -> list[tuple[int, str]]:
    """Returns a key that sorts numbers in text by value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in text.split(".")]


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
