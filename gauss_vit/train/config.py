"""The length of a run, and how often it reports, observes and saves."""

import dataclasses
import math

from gauss_vit.errors import ConfigError
from gauss_vit.tasks.evaluator import Best


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The length and the intervals of a run, in steps; the last step always observes and saves.

    Attributes:
      batch_size: Examples per update, over all devices.
      num_steps: Number of updates; None where `num_epochs` is given.
      num_epochs: Number of passes over the training split, instead of `num_steps`; a run stores the number of steps.
      eval_batch_size: Examples per evaluation step, over all devices.
      log_every: Steps between progress lines.
      checkpoint_every: Steps between checkpoints.
      observe_every: Steps between calls of the observers, from step 0; None observes at the end only. With a rule for
        the best checkpoint, that is observed as well.
      observe_images: Evaluation images over which an observer averages; 0 observes nothing, not even at the end.
      keep_checkpoints: Number of the newest checkpoints that are kept on disk, besides the best.
      keep_every: Number whose multiples are steps of checkpoints that are kept for good, such as 10000; a multiple of
        `checkpoint_every`. None keeps none for good.
      best: Rule for the best checkpoint, which is kept too; None keeps the newest only.
      accumulate: Number of micro-batches that a batch is split into, differentiated one after the other to save memory;
        1 is the whole batch. The loss of a detector changes with it.
      ema_decay: Decay d of the moving average of parameters, a <- d a + (1 - d) p after each update, such as 0.99996.
        The average is evaluated too, its metrics begin with `ema_`. None keeps no average.
    """

    batch_size: int
    num_steps: int | None = None
    num_epochs: float | None = None
    eval_batch_size: int
    log_every: int
    checkpoint_every: int
    observe_every: int | None = None
    observe_images: int = 64
    keep_checkpoints: int = 3
    keep_every: int | None = None
    best: Best | None = None
    accumulate: int = 1
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        errors = [
            f"{field.name} must be an integer >= {smallest}, got {value}"
            for field in dataclasses.fields(self)
            if isinstance(value := self.__dict__[field.name], int)
            and value < (smallest := 0 if field.name == "observe_images" else 1)
        ]
        if (self.num_steps is None) == (self.num_epochs is None):
            given = f"{self.num_steps} and num_epochs {self.num_epochs} are both given"
            missing = "or num_epochs must be given"
            errors.append(f"num_steps {missing if self.num_steps is None else given}")
        if self.num_epochs is not None and not 0 < self.num_epochs < math.inf:
            errors.append(f"num_epochs must be a number > 0, got {self.num_epochs}")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            errors.append(f"ema_decay must be in [0, 1) or None, got {self.ema_decay}")
        if self.ema_decay is None and self.best is not None and self.best.name.startswith("ema_"):
            errors.append(f"best.metric {self.best.metric} is of the moving average, and ema_decay is None")
        if not errors and self.keep_every is not None and self.keep_every % self.checkpoint_every:
            errors.append(f"keep_every {self.keep_every} is not a multiple of checkpoint_every {self.checkpoint_every}")
        if not errors and self.batch_size % self.accumulate:
            errors.append(f"batch_size {self.batch_size} is not divisible by accumulate {self.accumulate}")
        if errors:
            raise ConfigError("; ".join(errors))

    @property
    def total_steps(self) -> int:
        """Number of updates.

        Raises:
          ConfigError: it is given in epochs, whose number of examples is not known here.
        """
        if self.num_steps is None:
            message = (
                f"training.num_epochs {self.num_epochs} is a length in epochs, and the data set is not counted here"
            )
            raise ConfigError(message, do="set training.num_steps instead")
        return self.num_steps

    def in_steps(self, num_examples: int) -> "Training":
        """Returns the same run with its length in steps.

        Args:
          num_examples: Number of examples in an epoch; the last batch is counted as a whole.

        >>> run = Training(batch_size=4, num_epochs=2.0, eval_batch_size=1, log_every=1, checkpoint_every=1)
        >>> run.in_steps(9).num_steps
        5
        """
        if self.num_epochs is None:
            return self
        num_steps = max(1, math.ceil(self.num_epochs * num_examples / self.batch_size - 1e-9))
        return dataclasses.replace(self, num_steps=num_steps, num_epochs=None)

    def is_due(self, every: int | None, step: int) -> bool:
        """Returns whether something with a period is due at a step; everything is due at the last one."""
        return step == self.total_steps or (every is not None and step % every == 0)
