"""Accuracies of a run as `evaluate` wrote them, or of any classifier on images in folders named after classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.assembly.preset_images import in_words
from gauss_vit.config.schema import JsonValue
from gauss_vit.files import read_json
from gauss_vit.inspect.predictions import predict
from gauss_vit.inspect.tables.sources import Source

EVALUATION = "evaluation.json"
"""What `evaluate` writes to a workdir."""

_NUM_TOP = 5
_BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Shares of images in 0..1.

    Attributes:
      top1: Share of images whose class is the most probable one.
      top5: Share of images whose class is among the five most probable ones; None where it was not measured.
      of: What they were measured on, in words.
    """

    top1: float
    top5: float | None
    of: str


def evaluation_of(workdir: Path) -> Mapping[str, JsonValue]:
    """Reads what `evaluate` wrote; empty if it did not run, or the file cannot be read."""
    try:
        content = read_json(workdir / EVALUATION)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def evaluated_accuracy(source: Source) -> Accuracy | None:
    """Reads the accuracy that `evaluate` measured of a run; None if there is none, or it is that of some classes."""
    found = {} if source.workdir is None else evaluation_of(source.workdir)
    top1, top5 = found.get("top1"), found.get("top5")
    if not isinstance(top1, float | int) or "subset" in found:
        return None
    of = f"those that evaluate wrote, {found.get('data')} {found.get('split')}, step {found.get('step')}"
    return Accuracy(top1=float(top1), top5=float(top5) if isinstance(top5, float | int) else None, of=of)


def accuracy_on(named: NamedModel, paths: Sequence[Path]) -> Accuracy | None:
    """Measures a classifier on images whose folders have the names of its classes; None if there are none of these.

    Folders may be named after ImageNet's identifiers, such as n01440764, or after the classes themselves.

    Raises:
      DataError: an image is damaged.
      CheckpointError: an output is not a finite number.
    """
    labels = {name: index for index, name in enumerate(named.class_names)}
    of_folder = {folder: _index(labels, folder) for folder in {path.parent.name for path in paths}}
    labelled = [path for path in paths if of_folder[path.parent.name] is not None]
    if named.task.targets != "classes" or not labelled:
        return None
    ranks = [
        int(np.flatnonzero(np.argsort(-np.asarray(each.found), kind="stable") == of_folder[each.path.parent.name])[0])
        for batch in predict(named, labelled, limit=1, batch_size=_BATCH_SIZE, num_threads=2)
        for each in batch
    ]
    return Accuracy(
        top1=float(np.mean([rank < 1 for rank in ranks])),
        top5=float(np.mean([rank < _NUM_TOP for rank in ranks])),
        of=f"on {len(ranks)} of the images, whose folders name their class",
    )


def _index(labels: Mapping[str, int], folder: str) -> int | None:
    """Finds the class that a folder is named after."""
    return labels.get(folder, labels.get(in_words([folder])[0]))
