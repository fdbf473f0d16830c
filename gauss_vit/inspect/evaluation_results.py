"""The result of an evaluation for people: a table for the terminal, and the confusion matrix in files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gauss_vit.command_line.table import aligned
from gauss_vit.config.schema import JsonValue
from gauss_vit.escaping import escaped
from gauss_vit.inspect.result_files import suffixed, write_arrays, write_bytes, write_text
from gauss_vit.metrics.classification_report import ClassificationReport
from gauss_vit.metrics.percent import percent
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.confusion import confusion_figure

MATRIX, CLASSES, PAIRS = "confusion", "classes.csv", "confused_pairs.csv"
_MANY_CLASSES, _NUM_SHOWN = 20, 5
_ACCURACIES = (("top-1", "top1", "num_examples"), ("top-5", "top5", "num_examples"))
_REASSESSED = ("top-1, accepted labels", "real_top1", "num_real_examples")


def summary(result: Mapping[str, JsonValue], report: ClassificationReport, *, class_names: Sequence[str]) -> list[str]:
    """Formats the metrics with their counts, the classes that go wrong most, and the most confused pairs.

    Args:
      result: step, data set, split and metrics.
      report: sums of the evaluation.
      class_names: names of the classes in the order of the report.
    """
    names = [escaped(name) for name in class_names]
    return [_title(result), *_overall(result), "", *_by_class(report, names), *_pairs(report, names)]


def write_confusion(
    folder: Path, result: Mapping[str, JsonValue], report: ClassificationReport, *, class_names: Sequence[str]
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
    tables = report.tables()
    counts = tables["counts"]
    write_arrays(suffixed(folder / MATRIX, "npz"), tables)
    rows = ([name, *row] for name, row in zip(class_names, counts.tolist(), strict=True))
    write_text(suffixed(folder / MATRIX, "csv"), _csv(["true class \\ predicted", *class_names], rows))
    write_text(folder / CLASSES, class_table(class_names, report))
    write_text(folder / PAIRS, pair_table(class_names, report))
    figure = confusion_figure(counts, class_names=class_names, title=f"{folder.absolute().name}: {_title(result)}")
    write_bytes(suffixed(folder / MATRIX, "png"), encode(figure, "png"))


def class_table(class_names: Sequence[str], report: ClassificationReport) -> str:
    """Writes one CSV line a class: its name, its examples, how many are correct, and its most frequent confusion."""
    counts = report.tables()["counts"]
    rows = []
    for name, (total, right, other, _) in zip(class_names, _each_class(counts), strict=True):
        accuracy, confused = f"{right / total:.6f}" if total else "", "" if other is None else class_names[other]
        rows.append([name, total, right, accuracy, confused])
    return _csv(["class", "num_examples", "num_correct", "accuracy", "most_confused_with"], rows)


def pair_table(class_names: Sequence[str], report: ClassificationReport) -> str:
    """Writes one CSV line for each pair of confused classes, the most frequent first."""
    rows = (
        [class_names[pair.label], class_names[pair.predicted], pair.count, pair.num_examples]
        for pair in report.confusion.confused_pairs()
    )
    return _csv(["class", "predicted", "count", "num_examples"], rows)


def _title(result: Mapping[str, JsonValue]) -> str:
    choices = "".join(f", {result[name]}" for name in ("weights", "subset") if name in result)
    return f"{result['data']} {result['split']}, step {result['step']}{choices}"


def _overall(result: Mapping[str, JsonValue]) -> list[str]:
    accuracies = [*_ACCURACIES, *([_REASSESSED] if "real_top1" in result else [])]
    rows = [("", "correct", "images", "share")]
    rows += [_counted(title, result[name], result[total]) for title, name, total in accuracies]
    rows.append(("mean of classes", "", "", percent(_number(result["class_mean_top1"]))))
    loss = result["loss"]
    rows.append(("loss", "", "", "not finite" if loss is None else f"{_number(loss):.4g}"))
    return aligned(rows, ("left", "right", "right", "right"))


def _counted(title: str, share: JsonValue, total: JsonValue) -> tuple[str, str, str, str]:
    num_images, value = int(_number(total)), _number(share)
    return title, f"{round(value * num_images):,}", f"{num_images:,}", percent(value)


def _by_class(report: ClassificationReport, names: Sequence[str]) -> list[str]:
    """Formats all classes, or of many those of the lowest accuracy."""
    tables = report.tables()
    each, accuracy = _each_class(tables["counts"]), tables["accuracy"]
    present = [index for index, (total, *_) in enumerate(each) if total]
    lines = []
    if len(present) > _MANY_CLASSES:
        lines = [f"The {_NUM_SHOWN} classes of the lowest accuracy, of {len(present):,}:"]
        present = sorted(present, key=lambda index: accuracy[index])[:_NUM_SHOWN]
    rows = [("class", "correct", "images", "accuracy", "most confused with")]
    for index in present:
        total, right, other, count = each[index]
        confused = "" if other is None else f"{names[other]} ({count:,})"
        rows.append((names[index], f"{right:,}", f"{total:,}", percent(right / total), confused))
    return [*lines, *aligned(rows, ("left", "right", "right", "right", "left")), ""]


def _pairs(report: ClassificationReport, names: Sequence[str]) -> list[str]:
    pairs = report.confusion.confused_pairs()[:_NUM_SHOWN]
    if not pairs:
        return []
    rows = [("most confused", "taken for", "images", "of", "share")]
    for pair in pairs:
        share = percent(pair.count / pair.num_examples)
        rows.append((names[pair.label], names[pair.predicted], f"{pair.count:,}", f"{pair.num_examples:,}", share))
    return [*aligned(rows, ("left", "left", "right", "right", "right")), ""]


def _each_class(counts: np.ndarray) -> list[tuple[int, int, int | None, int]]:
    """Returns examples, correct ones, and the most frequent confusion with its count, of every class."""
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    others, most = wrong.argmax(axis=1), wrong.max(axis=1)
    return [
        (int(total), int(right), int(other) if count else None, int(count))
        for total, right, other, count in zip(counts.sum(axis=1), np.diag(counts), others, most, strict=True)
    ]


def _number(value: JsonValue) -> float:
    return float(str(value))


def _csv(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    return text.getvalue()
