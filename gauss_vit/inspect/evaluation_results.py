"""The result of an evaluation for people: tables for the terminal, and the confusion matrix in files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gauss_vit.command_line.table import Alignment, aligned
from gauss_vit.config.schema import JsonValue
from gauss_vit.escaping import escaped
from gauss_vit.inspect.result_files import suffixed, write_arrays, write_bytes, write_text
from gauss_vit.inspect.result_tables import MEASURED, csv_text, listed_classes, measured, share_cell, share_text
from gauss_vit.metrics.by_image import ImagePredictions
from gauss_vit.metrics.class_report import ClassReport, Overall
from gauss_vit.metrics.percent import percent
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.confusion import confusion_figure

RESULT, PREDICTIONS = "evaluation.json", "predictions.npz"
MATRIX, CLASSES, PAIRS = "confusion", "classes.csv", "confused_pairs.csv"
_NUM_PAIRS = 5


def summary(result: Mapping[str, JsonValue], report: ClassReport, *, class_names: Sequence[str]) -> list[str]:
    """Formats the metrics with their counts, the classes that go wrong most, and the most confused pairs.

    Args:
      result: step, data set, split and metrics.
      report: sums of the evaluation.
      class_names: names of the classes in the order of the report.
    """
    names = [escaped(name) for name in class_names]
    return [measured(result), *_overall(result, report), "", *_by_class(report, names), *_pairs(report, names)]


def values(result: Mapping[str, JsonValue]) -> list[str]:
    """Formats the metrics of a task without classes, by their names."""
    rows = [(escaped(name), _value(value)) for name, value in result.items() if name not in MEASURED]
    return [measured(result), *aligned(rows, ("left", "right"))]


def write_confusion(
    folder: Path, result: Mapping[str, JsonValue], report: ClassReport, *, class_names: Sequence[str]
) -> None:
    """Writes the confusion matrix as arrays, CSV and picture, and classes and confused pairs as CSV.

    Args:
      folder: folder to write to.
      result: step, data set and split, for the title of the picture.
      report: sums of the evaluation.
      class_names: names of the classes in the order of the report.

    Raises:
      StorageError: a file cannot be written.
    """
    counts = np.asarray(report.confusion.counts)
    shares = {title.lower(): share for title, share in report.shares().items()}
    write_arrays(suffixed(folder / MATRIX, "npz"), {"counts": counts, **shares})
    rows = ([name, *row] for name, row in zip(class_names, counts.tolist(), strict=True))
    write_text(suffixed(folder / MATRIX, "csv"), csv_text(["true class \\ predicted", *class_names], rows))
    write_text(folder / CLASSES, class_table(class_names, report))
    write_text(folder / PAIRS, pair_table(class_names, report))
    figure = confusion_figure(counts, class_names=class_names, title=f"{folder.absolute().name}: {measured(result)}")
    write_bytes(suffixed(folder / MATRIX, "png"), encode(figure, "png"))


def write_predictions(folder: Path, predictions: ImagePredictions) -> None:
    """Writes the class of every image and the one that is predicted for it, in the order in which they were evaluated.

    That is the order of the data, unless images are as large as they are and were sorted by size.

    Raises:
      StorageError: the file cannot be written.
    """
    write_arrays(folder / PREDICTIONS, {"label": predictions.label, "predicted": predictions.predicted})


def class_table(class_names: Sequence[str], report: ClassReport) -> str:
    """Writes one CSV line a class: its name, what it counts, how much is correct, and its most frequent confusion."""
    shares = report.shares()
    rows = []
    for name, tally, *found in zip(class_names, _tallies(report), *shares.values(), strict=True):
        confused = "" if tally.other is None else class_names[tally.other]
        rows.append([name, tally.num, tally.num_correct, *map(share_cell, found), confused])
    titles = [title.lower() for title in shares]
    return csv_text(["class", report.count_name, "num_correct", *titles, "most_confused_with"], rows)


def pair_table(class_names: Sequence[str], report: ClassReport) -> str:
    """Writes one CSV line for each pair of confused classes, the most frequent first."""
    rows = (
        [class_names[pair.label], class_names[pair.predicted], pair.count, pair.num_examples]
        for pair in report.confusion.confused_pairs()
    )
    return csv_text(["class", "predicted", "count", report.count_name], rows)


def _overall(result: Mapping[str, JsonValue], report: ClassReport) -> list[str]:
    rows = [("", "correct", report.unit, "share"), *map(_share_row, report.overall())]
    rows.append(("loss", "", "", _value(result["loss"])))
    return aligned(rows, ("left", "right", "right", "right"))


def _share_row(overall: Overall) -> tuple[str, str, str, str]:
    right, num = ("" if count is None else f"{count:,}" for count in (overall.num_correct, overall.num))
    return overall.title, right, num, share_text(overall.share)


def _by_class(report: ClassReport, names: Sequence[str]) -> list[str]:
    """Formats all classes, or of many those of the lowest share."""
    tallies, shares = _tallies(report), report.shares()
    title, ranking = next(iter(shares.items()))
    lines, present = listed_classes(ranking, title)
    rows = [("class", "correct", report.unit, *shares, "most confused with")]
    for index in present:
        tally = tallies[index]
        confused = "" if tally.other is None else f"{names[tally.other]} ({tally.num_other:,})"
        found = (share_text(share[index]) for share in shares.values())
        rows.append((names[index], f"{tally.num_correct:,}", f"{tally.num:,}", *found, confused))
    numbers: list[Alignment] = ["right"] * (2 + len(shares))
    return [*lines, *aligned(rows, ["left", *numbers, "left"]), ""]


def _pairs(report: ClassReport, names: Sequence[str]) -> list[str]:
    pairs = report.confusion.confused_pairs()[:_NUM_PAIRS]
    if not pairs:
        return []
    rows = [("most confused", "taken for", report.unit, "of", "share")]
    for pair in pairs:
        share = percent(pair.count / pair.num_examples)
        rows.append((names[pair.label], names[pair.predicted], f"{pair.count:,}", f"{pair.num_examples:,}", share))
    return [*aligned(rows, ("left", "left", "right", "right", "right")), ""]


@dataclass(frozen=True, kw_only=True)
class _Tally:
    """The counts of a class.

    Attributes:
      num: number of examples or pixels that have the class.
      num_correct: number of these that are predicted as it.
      other: class that it is most often taken for; None where it never is.
      num_other: how often.
    """

    num: int
    num_correct: int
    other: int | None
    num_other: int


def _tallies(report: ClassReport) -> list[_Tally]:
    counts = np.asarray(report.confusion.counts)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    others, most = wrong.argmax(axis=1), wrong.max(axis=1)
    return [
        _Tally(num=int(num), num_correct=int(right), other=int(other) if count else None, num_other=int(count))
        for num, right, other, count in zip(counts.sum(axis=1), np.diag(counts), others, most, strict=True)
    ]


def _value(value: JsonValue) -> str:
    if value is None:
        return "not finite"
    return f"{value:,}" if isinstance(value, int) else f"{float(str(value)):.4g}"
