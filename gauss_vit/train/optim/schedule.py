"""Learning-rate schedules: frozen values that turn a peak rate and a number of steps into a function of the step.

Steps count from 0: the first update uses the value at step 0, as in torch's schedulers stepped once an update. Every
schedule has three parts: a linear warm-up, its own curve, and a cooldown at the rate `final`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gauss_vit.errors import ConfigError

LearningRate = Callable[[jax.typing.ArrayLike], Float[Array, ""]]
Start = Literal["after_warmup", "with_warmup"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """The peak rate throughout, after an optional linear warm-up.

    Attributes:
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
      final: learning rate of the cooldown.
      cooldown_steps: updates at the end of the run, at the rate `final`.
    """

    warmup_steps: int = 0
    warmup_start: float = 0.0
    final: float = 0.0
    cooldown_steps: int = 0

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_ends(self.warmup_steps, self.warmup_start, cooldown_steps=self.cooldown_steps, final=self.final)

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step.

        Raises:
          ConfigError: warm-up and cooldown do not fit into the run.
        """
        cooldown_start = num_steps - self.cooldown_steps
        if self.cooldown_steps > 0:
            _check_room(self.warmup_steps, self.cooldown_steps, total_steps=num_steps)

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            value = _before_cooldown(
                step, self.cooldown_steps, start=cooldown_start, rate=jnp.float32(peak), final=self.final
            )
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=value)

        return learning_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine:
    """A linear warm-up, then half a cosine from the peak to `final`.

    At step t >= w: final + (peak - final) / 2 * (1 + cos(pi (t - w) / (n - c - w))), with w warm-up and c cooldown
    steps out of n.

    Attributes:
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
      final: learning rate that the cosine ends in, held from then on.
      total_steps: length n of warm-up, cosine and cooldown; None is the length of the run. Set it to be able to
        lengthen a run without stretching its schedule.
      cooldown_steps: updates at the end, at the rate `final`.
      counts_from: where the cosine begins: "after_warmup" at its peak; "with_warmup" at step 0, so that after the
        warm-up it has come down a little already, as in timm unless `warmup_prefix` is set.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5, without restarts.
    """

    warmup_steps: int = 0
    warmup_start: float = 0.0
    final: float = 0.0
    total_steps: int | None = None
    cooldown_steps: int = 0
    counts_from: Start = "after_warmup"

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_ends(self.warmup_steps, self.warmup_start, cooldown_steps=self.cooldown_steps, final=self.final)
        _check_total(self.total_steps, self.warmup_steps)

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step.

        Raises:
          ConfigError: warm-up and cooldown do not fit into the run.
        """
        total_steps = num_steps if self.total_steps is None else self.total_steps
        _check_room(self.warmup_steps, self.cooldown_steps, total_steps=total_steps)
        first = self.warmup_steps if self.counts_from == "after_warmup" else 0
        decay_steps = total_steps - self.cooldown_steps - first

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            fraction = jnp.clip((step - first).astype(jnp.float32) / decay_steps, 0.0, 1.0)
            value = self.final + (peak - self.final) * 0.5 * (1.0 + jnp.cos(math.pi * fraction))
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=value, target=peak)

        return learning_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A linear warm-up, then a power of the remaining share of the run, from the peak to `final`.

    At step t >= w: final + (peak - final) (1 - (t - w) / (n - c - w))^power, with w warm-up and c cooldown steps out
    of n. A power of 1 is a straight line.

    Attributes:
      power: of the remaining share.
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
      final: learning rate that the curve ends in, held from then on.
      total_steps: length n; None is the length of the run.
      cooldown_steps: updates at the end, at the rate `final`.
    """

    power: float = 1.0
    warmup_steps: int = 0
    warmup_start: float = 0.0
    final: float = 0.0
    total_steps: int | None = None
    cooldown_steps: int = 0

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_ends(self.warmup_steps, self.warmup_start, cooldown_steps=self.cooldown_steps, final=self.final)
        _check_total(self.total_steps, self.warmup_steps)
        if not (math.isfinite(self.power) and self.power > 0.0):
            raise ConfigError(f"power must be a finite number > 0, got {self.power}")

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step.

        Raises:
          ConfigError: warm-up and cooldown do not fit into the run.
        """
        total_steps = num_steps if self.total_steps is None else self.total_steps
        decay_steps = total_steps - self.cooldown_steps - self.warmup_steps
        _check_room(self.warmup_steps, self.cooldown_steps, total_steps=total_steps)

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            fraction = jnp.clip((step - self.warmup_steps).astype(jnp.float32) / decay_steps, 0.0, 1.0)
            value = self.final + (peak - self.final) * (1.0 - fraction) ** self.power
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=value, target=peak)

        return learning_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A linear warm-up, then the peak multiplied by `factor` at each boundary.

    Attributes:
      boundaries: steps, in rising order, from which on one more `factor` applies.
      factor: what the rate is multiplied by.
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
      final: learning rate of the cooldown.
      cooldown_steps: updates at the end of the run, at the rate `final`.
    """

    boundaries: tuple[int, ...]
    factor: float = 0.1
    warmup_steps: int = 0
    warmup_start: float = 0.0
    final: float = 0.0
    cooldown_steps: int = 0

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_ends(self.warmup_steps, self.warmup_start, cooldown_steps=self.cooldown_steps, final=self.final)
        if any(later <= earlier for earlier, later in zip((0, *self.boundaries), self.boundaries, strict=False)):
            raise ConfigError(f"boundaries must be positive and rising, got {self.boundaries}")
        if not 0.0 < self.factor <= 1.0:
            raise ConfigError(f"factor must be in (0, 1], got {self.factor}")

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step.

        Raises:
          ConfigError: warm-up and cooldown do not fit into the run.
        """
        values = jnp.asarray([peak * self.factor**power for power in range(len(self.boundaries) + 1)], jnp.float32)
        boundaries = jnp.asarray(self.boundaries, jnp.int32)
        cooldown_start = num_steps - self.cooldown_steps
        if self.cooldown_steps > 0:
            _check_room(self.warmup_steps, self.cooldown_steps, total_steps=num_steps)

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            value = values[jnp.sum(step >= boundaries, dtype=jnp.int32)]
            value = _before_cooldown(step, self.cooldown_steps, start=cooldown_start, rate=value, final=self.final)
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=value)

        return learning_rate


Schedule = Constant | Cosine | Polynomial | Step


def _after_warmup(
    step: Int[Array, ""],
    warmup_steps: int,
    *,
    start: float,
    peak: Float[Array, ""],
    target: float | None = None,
) -> Float[Array, ""]:
    """Rises linearly from `start` at step 0 to the target at step `warmup_steps`, then follows `peak`.

    Args:
      step: of the run.
      warmup_steps: how long the rate rises.
      start: its first value.
      peak: the value of the curve at this step.
      target: what it rises to; None is the value of the curve.
    """
    if warmup_steps == 0:
        return peak
    top = peak if target is None else jnp.float32(target)
    rising = start + (top - start) * (step.astype(jnp.float32) / warmup_steps)
    return jnp.where(step < warmup_steps, rising, peak)


def _before_cooldown(
    step: Int[Array, ""], cooldown_steps: int, *, start: int, rate: Float[Array, ""], final: float
) -> Float[Array, ""]:
    """Follows a rate up to the step `start`, and is `final` from there on if there is a cooldown."""
    return rate if cooldown_steps == 0 else jnp.where(step < start, rate, jnp.float32(final))


def _check_rate(name: str, value: float) -> None:
    """Raises a ConfigError unless the value is a finite learning rate."""
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigError(f"{name} must be a finite number >= 0, got {value}")


def _check_ends(warmup_steps: int, warmup_start: float, *, cooldown_steps: int, final: float) -> None:
    """Raises a ConfigError unless warm-up and cooldown make sense."""
    for name, steps in (("warmup_steps", warmup_steps), ("cooldown_steps", cooldown_steps)):
        if steps < 0:
            raise ConfigError(f"{name} must be an integer >= 0, got {steps}")
    _check_rate("warmup_start", warmup_start)
    _check_rate("final", final)


def _check_total(total_steps: int | None, warmup_steps: int) -> None:
    """Raises a ConfigError unless a length of its own leaves room for the curve."""
    if total_steps is not None and total_steps <= warmup_steps:
        raise ConfigError(f"total_steps {total_steps} must exceed warmup_steps {warmup_steps}")


def _check_room(warmup_steps: int, cooldown_steps: int, *, total_steps: int) -> None:
    """Raises a ConfigError unless warm-up and cooldown leave a step for the curve between them."""
    if warmup_steps + cooldown_steps >= total_steps:
        cooldown = f" with cooldown_steps {cooldown_steps}" if cooldown_steps else ""
        raise ConfigError(
            f"warmup_steps {warmup_steps}{cooldown} leaves no step for the curve in a run of {total_steps}",
            do=f"choose at most {max(0, total_steps - 1)} in all",
        )
