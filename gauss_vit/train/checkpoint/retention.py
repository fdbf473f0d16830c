"""Which checkpoints are kept on disk (the newest, and the best), and the link `checkpoints/best`.

The rule is ours and not orbax's: there a metric that is NaN can make it delete the best checkpoint.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

BEST = "best"
_REMOVED = ".removed-"


def best_step(values: Mapping[int, float], *, mode: Literal["max", "min"]) -> int | None:
    """Finds the step of the best value; of equal ones the earliest, and one that is not finite never.

    Args:
      values: Step to value.
      mode: Whether the best is the highest value ("max") or the lowest ("min").

    >>> best_step({10: 0.5, 20: 0.9, 30: float("nan"), 40: 0.9}, mode="max")
    20
    """
    ranked = {step: value if mode == "min" else -value for step, value in values.items() if math.isfinite(value)}
    return min(ranked, key=lambda step: (ranked[step], step), default=None)


def steps_to_remove(steps: Sequence[int], *, num_newest: int, best: int | None) -> list[int]:
    """Lists the steps that are neither among the newest nor the best.

    >>> steps_to_remove([5, 10, 15, 20], num_newest=2, best=5)
    [10]
    """
    kept = {*sorted(steps)[-num_newest:], best}
    return [step for step in sorted(steps) if step not in kept]


def remove(folder: Path) -> None:
    """Deletes a checkpoint; it is renamed first, so that none is ever seen half deleted."""
    doomed = folder.with_name(f"{_REMOVED}{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def finish_removals(parent: Path) -> None:
    """Deletes what an earlier process was about to delete when it ended."""
    for leftover in parent.glob(f"{_REMOVED}*"):
        shutil.rmtree(leftover)


def link_best(parent: Path, step: int) -> None:
    """Points the link `best` to a checkpoint, in one atomic step."""
    link, fresh = parent / BEST, parent / f".{BEST}"
    if link.is_symlink() and str(link.readlink()) == str(step):
        return
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(str(step), target_is_directory=True)
    fresh.rename(link)
