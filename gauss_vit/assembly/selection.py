"""The choice among the weights of a run: newest or best checkpoint, parameters or their moving average."""

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
    """Reads `--best` and `--ema` of a verb that has them; see `choose`."""
    return choose(workdir, run, best=invocation.switch("best"), ema=invocation.switch("ema"))


def choose(workdir: Path, run: Experiment, *, best: bool, ema: bool) -> Selection:
    """Chooses among the weights of a run.

    Args:
      workdir: Folder of the run.
      run: Experiment of the run.
      best: Whether to take the best checkpoint by the run's own rule rather than the newest.
      ema: Whether to take the moving average of the parameters.

    Raises:
      ConfigError: the run keeps no moving average.
      CheckpointError: the run has no best checkpoint.
    """
    if ema and run.training.ema_decay is None:
        raise ConfigError(
            f"the run keeps no moving average: {workdir}",
            do="take the parameters themselves, or train with training.ema_decay",
        )
    return Selection(
        which="ema" if ema else "params",
        step=reader.best_step(workdir) if best else None,
        suffix=("_best" if best else "") + ("_ema" if ema else ""),
    )
