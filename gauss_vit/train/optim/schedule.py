"""Learning-rate schedules as frozen values: a linear warm-up, a curve, and a cooldown.

Steps count from 0: the first update uses the value at step 0, as in torch's schedulers stepped once an update.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from gauss_vit.errors import ConfigError

LearningRate = Callable[[jax.typing.ArrayLike], Float[Array, ""]]
Rates = Callable[[Int[Array, ""]], jax.typing.ArrayLike]


def _check_rate(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigError(f"{name} must be a finite number >= 0, got {value}")


def _rises(values: Sequence[int] | Sequence[float]) -> bool:
    return all(earlier < later for earlier, later in itertools.pairwise(values))


def _check_steps(name: str, value: int) -> None:
    if value < 0:
        raise ConfigError(f"{name} must be an integer >= 0, got {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """The peak rate throughout."""

    def values(self, peak: float, *, begin: int, end: int) -> Rates:
        """Returns the peak for any step."""
        del begin, end
        return lambda step: jnp.float32(peak)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from the peak to `final`, without restarts.

    At the share s of its steps the rate is final + (peak - final) (1 + cos(pi s)) / 2.

    Attributes:
      final: learning rate at the end of the curve.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5. `optax.cosine_decay_schedule` is the same curve,
    and rounds differently.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("final", self.final)

    def values(self, peak: float, *, begin: int, end: int) -> Rates:
        """Returns the learning rate of an int32 step: `peak` at `begin`, and the end of the curve from `end` on."""

        def rate(step: Int[Array, ""]) -> Float[Array, ""]:
            share = jnp.clip((step - begin).astype(jnp.float32) / (end - begin), 0.0, 1.0)
            return self.final + (peak - self.final) * 0.5 * (1.0 + jnp.cos(math.pi * share))

        return rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A polynomial from the peak to `final`: final + (peak - final) (1 - s)^power at the share s of the steps.

    Attributes:
      power: exponent; 1 is a straight line.
      final: learning rate at the end of the curve.
    """

    power: float = 1.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("final", self.final)
        if not (math.isfinite(self.power) and self.power > 0.0):
            raise ConfigError(f"power must be a finite number > 0, got {self.power}")

    def values(self, peak: float, *, begin: int, end: int) -> Rates:
        """Returns the learning rate of an int32 step: `peak` at `begin`, and the end of the curve from `end` on."""
        return optax.polynomial_schedule(peak, self.final, self.power, end - begin, transition_begin=begin)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """The peak multiplied by `factor` at each boundary.

    Attributes:
      boundaries: steps of the run, in increasing order, at each of which the rate is multiplied by `factor`.
      shares: the same as shares of the run up to its cooldown, such as 27 / 36 for epoch 27 of 36, instead of
        `boundaries`.
      factor: factor on the rate at each boundary.

    Raises:
      ConfigError: the boundaries do not rise, or both or none of the two are given.
    """

    boundaries: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        if bool(self.boundaries) == bool(self.shares):
            raise ConfigError(f"boundaries {self.boundaries} or shares {self.shares} must be given, and not both")
        if not _rises((0, *self.boundaries)):
            raise ConfigError(f"boundaries must be positive and rising, got {self.boundaries}")
        if not _rises((0.0, *self.shares, 1.0)):
            raise ConfigError(f"shares must be between 0 and 1 and rising, got {self.shares}")
        if not 0.0 < self.factor <= 1.0:
            raise ConfigError(f"factor must be in (0, 1], got {self.factor}")

    def values(self, peak: float, *, begin: int, end: int) -> Rates:
        """Returns the learning rate of an int32 step, counted from the beginning of the run."""
        del begin
        steps = self.boundaries or tuple(round(share * end) for share in self.shares)
        rates = jnp.asarray([peak * self.factor**power for power in range(len(steps) + 1)], jnp.float32)
        boundaries = jnp.asarray(steps, jnp.int32)
        return lambda step: rates[jnp.sum(step >= boundaries, dtype=jnp.int32)]


Curve = Constant | Cosine | Polynomial | Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Warmup:
    """A linear rise to the peak or to the curve.

    Attributes:
      steps: number of updates before the peak.
      share: the same as a share of the run, such as 0.05, instead of `steps`.
      start: learning rate at step 0.
      is_prefix: whether the curve begins after the warm-up. Otherwise it begins at step 0, so that after the warm-up it
        is already a little below the peak, as in timm unless `warmup_prefix` is set.
      rises_to: what the rate rises to. "peak" is a straight line from `start` to the peak; "curve" multiplies the curve
        by a factor that rises from `start` / peak to 1, as in MMCV, whose curve begins at step 0 (`is_prefix=False`).

    Source: timm `cosine_lr.py`; MMCV 1.7 `lr_updater.py`, `warmup="linear"` with `warmup_ratio` = `start` / peak.
    """

    steps: int = 0
    start: float = 0.0
    is_prefix: bool = True
    share: float | None = None
    rises_to: Literal["peak", "curve"] = "peak"

    def __post_init__(self) -> None:
        _check_steps("steps", self.steps)
        _check_rate("start", self.start)
        if self.share is not None and not 0 <= self.share < 1:
            raise ConfigError(f"share must be in [0, 1) or None, got {self.share}")
        if self.share is not None and self.steps:
            raise ConfigError(f"share {self.share} and steps {self.steps} are both given", do="set one of them")

    def num_steps(self, total_steps: int) -> int:
        """Returns the number of updates in a run of so many."""
        return self.steps if self.share is None else round(self.share * total_steps)

    def rate(self, curve: Float[Array, ""], *, peak: float, done: Float[Array, ""]) -> Float[Array, ""]:
        """Computes the learning rate of a step of the warm-up.

        Args:
          curve: rate of the curve at this step.
          peak: rate at the end of the warm-up, or at the beginning of the curve.
          done: share of the warm-up before this step, from 0 to 1.
        """
        if self.rises_to == "curve":
            return curve * (self.start / peak + (1.0 - self.start / peak) * done)
        return self.start + (jnp.float32(peak) - self.start) * done


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cooldown:
    """Steps at the end of a run at a constant, low rate.

    Attributes:
      steps: number of updates of the cooldown.
      rate: learning rate of the cooldown; None is the last value of the curve.
    """

    steps: int = 0
    rate: float | None = None

    def __post_init__(self) -> None:
        _check_steps("steps", self.steps)
        if self.rate is not None:
            _check_rate("rate", self.rate)


_WHOLE_RUN, _NO_WARMUP, _NO_COOLDOWN = Cosine(), Warmup(), Cooldown()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate over a run: warm-up, curve and cooldown.

    Attributes:
      curve: curve from the end of the warm-up to the beginning of the cooldown.
      warmup: rise to the peak, before the curve.
      cooldown: updates after the curve.
      total_steps: length of the three together; None is the length of the run. Set it so that a run can be extended
        without stretching its schedule.

    Raises:
      ConfigError: the total leaves no step for the curve.
    """

    curve: Curve = _WHOLE_RUN
    warmup: Warmup = _NO_WARMUP
    cooldown: Cooldown = _NO_COOLDOWN
    total_steps: int | None = None

    def __post_init__(self) -> None:
        if self.total_steps is not None and self.total_steps <= self.warmup.num_steps(self.total_steps):
            raise ConfigError(f"total_steps {self.total_steps} must exceed warmup.steps {self.warmup.steps}")

    def learning_rate(self, peak: float, num_steps: int) -> LearningRate:
        """Returns the learning rate as a function of the step.

        Args:
          peak: rate at the end of the warm-up.
          num_steps: length of the run in updates.

        Raises:
          ConfigError: warm-up and cooldown do not fit into the run.

        >>> rate = Schedule(curve=Polynomial(), warmup=Warmup(steps=2)).learning_rate(1.0, 6)
        >>> [round(float(rate(step)), 3) for step in range(7)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
        """
        warmup, cooldown = self.warmup, self.cooldown
        total_steps = num_steps if self.total_steps is None else self.total_steps
        warmup_steps = warmup.num_steps(total_steps)
        _check_room(warmup_steps, cooldown.steps, total_steps=total_steps)
        end = total_steps - cooldown.steps
        curve = self.curve.values(peak, begin=warmup_steps if warmup.is_prefix else 0, end=end)

        def rate(step: jax.typing.ArrayLike) -> Float[Array, ""]:
            step = jnp.asarray(step, jnp.int32)
            value = jnp.asarray(curve(step), jnp.float32)
            if cooldown.steps > 0 and cooldown.rate is not None:
                value = jnp.where(step < end, value, jnp.float32(cooldown.rate))
            if warmup_steps > 0:
                rising = warmup.rate(value, peak=peak, done=step.astype(jnp.float32) / warmup_steps)
                value = jnp.where(step < warmup_steps, rising, value)
            return value

        return rate


def _check_room(warmup_steps: int, cooldown_steps: int, *, total_steps: int) -> None:
    """Raises a ConfigError unless warm-up and cooldown leave a step for the curve between them."""
    if warmup_steps + cooldown_steps >= total_steps:
        cooldown = f" with cooldown.steps {cooldown_steps}" if cooldown_steps else ""
        raise ConfigError(
            f"optimizer.schedule.warmup.steps {warmup_steps}{cooldown} leaves no step for the curve in a run of"
            f" {total_steps} steps",
            do=f"set them to at most {max(0, total_steps - 1)} in all, or the warm-up to a share of the run, such as"
            " optimizer.schedule.warmup.share=0.05; `gauss-vit train --smoke` tries a config as it is",
        )
