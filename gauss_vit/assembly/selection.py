"""The weights of a run that a command line asks for: newest or best checkpoint, parameters or their moving average."""

from dataclasses import dataclass
from pathlib import Path

from gauss_vit.command_line.invocation import Invocation
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.train.checkpoint import reader


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A choice among the weights of a run.

    Attributes:
      which: Parameters of the last update, or their moving average.
      step: Step of the checkpoint; None for the newest that verifies.
      suffix: What the choice adds to the name of results, so that those of two choices are never mixed up.
    """

    which: reader.Weights = "params"
    step: int | None = None
    suffix: str = ""


NEWEST = Selection()
"""Parameters of the newest checkpoint."""


def selection(invocation: Invocation, workdir: Path, run: Experiment) -> Selection:
    """Reads `--best` and `--ema`.

    Args:
      invocation: Command line of a verb with these flags.
      workdir: Folder of the run.
      run: Experiment of the run.

    Raises:
      ConfigError: the run keeps no moving average.
      CheckpointError: the run has no best checkpoint.
    """
    is_best, is_average = invocation.switch("best"), invocation.switch("ema")
    if is_average and run.training.ema_decay is None:
        raise ConfigError("the run keeps no moving average", do="leave out --ema, or train with training.ema_decay")
    return Selection(
        which="ema" if is_average else "params",
        step=reader.best_step(workdir) if is_best else None,
        suffix=("_best" if is_best else "") + ("_ema" if is_average else ""),
    )
