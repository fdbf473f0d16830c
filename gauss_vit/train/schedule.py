"""Learning-rate schedules: frozen values that turn a peak rate and a number of steps into a function of the step.

Steps count from 0: the first update uses the value at step 0, as in torch's schedulers stepped once an update.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gauss_vit.errors import ConfigError

LearningRate = Callable[[jax.typing.ArrayLike], Float[Array, ""]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """The peak rate throughout, after an optional linear warm-up.

    Attributes:
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
    """

    warmup_steps: int = 0
    warmup_start: float = 0.0

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_warmup(self.warmup_steps, self.warmup_start)

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step."""

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=jnp.float32(peak))

        return learning_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine:
    """A linear warm-up, then half a cosine from the peak to `final`.

    At step t >= w: final + (peak - final) / 2 * (1 + cos(pi (t - w) / (n - w))), with w warm-up steps out of n.

    Attributes:
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
      final: learning rate that the cosine ends in, held from then on.
      total_steps: length n of warm-up and cosine; None is the length of the run. Set it to be able to lengthen a run
        without stretching its schedule.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5, without restarts.
    """

    warmup_steps: int = 0
    warmup_start: float = 0.0
    final: float = 0.0
    total_steps: int | None = None

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_warmup(self.warmup_steps, self.warmup_start)
        _check_rate("final", self.final)
        if self.total_steps is not None and self.total_steps <= self.warmup_steps:
            raise ConfigError(f"total_steps {self.total_steps} must exceed warmup_steps {self.warmup_steps}")

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step.

        Raises:
          ConfigError: the warm-up is not shorter than the run.
        """
        total_steps = num_steps if self.total_steps is None else self.total_steps
        decay_steps = total_steps - self.warmup_steps
        if decay_steps <= 0:
            raise ConfigError(
                f"warmup_steps {self.warmup_steps} leaves no step for the cosine in a run of {total_steps}",
                do=f"choose at most {max(0, total_steps - 1)}",
            )

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            fraction = jnp.clip((step - self.warmup_steps).astype(jnp.float32) / decay_steps, 0.0, 1.0)
            value = self.final + (peak - self.final) * 0.5 * (1.0 + jnp.cos(math.pi * fraction))
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=value)

        return learning_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A linear warm-up, then the peak multiplied by `factor` at each boundary.

    Attributes:
      boundaries: steps, in rising order, from which on one more `factor` applies.
      factor: what the rate is multiplied by.
      warmup_steps: updates over which the rate rises from `warmup_start` to the peak.
      warmup_start: learning rate of the first update of the warm-up.
    """

    boundaries: tuple[int, ...]
    factor: float = 0.1
    warmup_steps: int = 0
    warmup_start: float = 0.0

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_warmup(self.warmup_steps, self.warmup_start)
        if any(later <= earlier for earlier, later in zip((0, *self.boundaries), self.boundaries, strict=False)):
            raise ConfigError(f"boundaries must be positive and rising, got {self.boundaries}")
        if not 0.0 < self.factor <= 1.0:
            raise ConfigError(f"factor must be in (0, 1], got {self.factor}")

    def make(self, peak: float, num_steps: int) -> LearningRate:
        """Gives the learning rate as a function of the step."""
        values = jnp.asarray([peak * self.factor**power for power in range(len(self.boundaries) + 1)], jnp.float32)
        boundaries = jnp.asarray(self.boundaries, jnp.int32)

        def learning_rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            num_passed = jnp.sum(step >= boundaries, dtype=jnp.int32)
            return _after_warmup(step, self.warmup_steps, start=self.warmup_start, peak=values[num_passed])

        return learning_rate


Schedule = Constant | Cosine | Step


def _after_warmup(step: Int[Array, ""], warmup_steps: int, *, start: float, peak: Float[Array, ""]) -> Float[Array, ""]:
    """Rises linearly from `start` at step 0 to `peak` at step `warmup_steps`, then follows `peak`."""
    if warmup_steps == 0:
        return peak
    rising = start + (peak - start) * (step.astype(jnp.float32) / warmup_steps)
    return jnp.where(step < warmup_steps, rising, peak)


def _check_rate(name: str, value: float) -> None:
    """Raises a ConfigError unless the value is a finite learning rate."""
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigError(f"{name} must be a finite number >= 0, got {value}")


def _check_warmup(warmup_steps: int, warmup_start: float) -> None:
    """Raises a ConfigError unless the warm-up makes sense."""
    if warmup_steps < 0:
        raise ConfigError(f"warmup_steps must be an integer >= 0, got {warmup_steps}")
    _check_rate("warmup_start", warmup_start)
