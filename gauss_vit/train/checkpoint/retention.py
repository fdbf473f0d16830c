"""Which checkpoints are kept on disk (the newest, the best, every n-th), and the link `checkpoints/best`.

The rule is ours and not orbax's: there a metric that is NaN can make it delete the best checkpoint.
"""

import dataclasses
import itertools
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from gauss_vit.files import sync_entries
from gauss_vit.tasks.evaluator import Best

BEST = "best"
_REMOVED = ".removed-"
_UNFINISHED = "*.orbax-checkpoint-tmp*"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retention:
    """The checkpoints that stay on disk.

    Attributes:
      num_newest: number of the newest checkpoints to keep.
      every: number whose multiples are steps of checkpoints to keep for good; None keeps none.
      best: rule for the best checkpoint, which is kept too; None has no best.
    """

    num_newest: int
    every: int | None = None
    best: Best | None = None


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


def steps_to_remove(steps: Sequence[int], retention: Retention, *, best: int | None) -> list[int]:
    """Lists the steps that are neither among the newest, nor the best, nor to be kept for good.

    >>> steps_to_remove([5, 10, 15, 20, 25], Retention(num_newest=1, every=10), best=5)
    [15]
    """
    kept = {*sorted(steps)[-retention.num_newest :], best}
    every = retention.every
    return [step for step in sorted(steps) if step not in kept and (every is None or step % every)]


def remove(folder: Path) -> None:
    """Deletes a checkpoint, or one of the `leftovers`; it is renamed first, so that none is ever seen half deleted.

    Raises:
      OSError: it cannot be renamed, or something of it cannot be deleted; the rest is gone then.
    """
    is_renamed = folder.name.startswith(_REMOVED)
    _delete(folder if is_renamed else folder.rename(_free_name(folder.parent, f"{_REMOVED}{folder.name}")))


def leftovers(parent: Path) -> list[Path]:
    """Lists what an earlier process was about to delete, or had not written to its end, when it ended."""
    return sorted({*parent.glob(f"{_REMOVED}*"), *parent.glob(_UNFINISHED)})


def _delete(folder: Path) -> None:
    """Deletes a folder, and whatever can be deleted of it where something cannot."""
    try:
        shutil.rmtree(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _free_name(parent: Path, name: str) -> Path:
    """Returns the first of NAME, NAME.1, NAME.2 ... that does not exist."""
    return next(path for path in _candidates(parent, name) if not path.exists())


def _candidates(parent: Path, name: str) -> Iterator[Path]:
    yield parent / name
    yield from (parent / f"{name}.{count}" for count in itertools.count(1))


def link_best(parent: Path, step: int) -> None:
    """Points the link `best` to a checkpoint, in one atomic step that is on the disk when this returns.

    Raises:
      OSError: the link cannot be made.
    """
    link, fresh = parent / BEST, parent / f".{BEST}"
    if link.is_symlink() and str(link.readlink()) == str(step):
        return
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(str(step), target_is_directory=True)
    fresh.rename(link)
    sync_entries(parent)
