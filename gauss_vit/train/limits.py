"""How long a run waits for one thing before it ends."""

import dataclasses
import math

from gauss_vit.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The longest that a run waits for one thing, in seconds; after that it ends with status 6 and says for what.

    They change no number. A run may be slow: each holds for one batch, one step or one save, not for all of them. The
    time in which a process is suspended, as by Ctrl-Z, does not count.

    Attributes:
      start: The other processes of the run, when it starts.
      restore: Reading the newest checkpoint, or making the initial parameters.
      compile: The first two steps, and the first two batches of an evaluation, of each shape, which are compiled.
      data: One batch, of training or evaluation. A line says every 30 seconds that it is still awaited.
      step: One training step, or one batch of an evaluation. A step may also take ten times as long as the slowest one
        before it: a slow machine needs no other limit.
      observe: All observers at one step.
      save: A checkpoint.

    Raises:
      ConfigError: a limit is not a positive number.
    """

    start: float = 300.0
    restore: float = 1800.0
    compile: float = 3600.0
    data: float = 1800.0
    step: float = 300.0
    observe: float = 3600.0
    save: float = 1800.0

    def __post_init__(self) -> None:
        """Checks ranges."""
        errors = [
            f"limits.{field.name} must be a number of seconds > 0, got {value}"
            for field in dataclasses.fields(self)
            if not 0 < (value := float(self.__dict__[field.name])) < math.inf
        ]
        if errors:
            raise ConfigError("; ".join(errors))
