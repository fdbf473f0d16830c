"""`data check`: which data of a run exist. `data prepare`: a folder or the ImageNet archives as a TFDS data set.

`data prepare --name=drawn_shapes` draws a data set of objects in COCO's format.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from gauss_vit.command_line.console import can_write, remark, say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data import contents, inspection
from gauss_vit.data.config import ADE20K, COCO, COCO_FOLDER, DIGITS, FOLDER, MASK_FOLDER, Data
from gauss_vit.data.images.header import MAX_PIXELS, LargeImageError
from gauss_vit.data.mask_counts import MaskCounts
from gauss_vit.data.prepare import drawn_shapes, plans
from gauss_vit.data.prepare.imagenet_archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE, archive_plan
from gauss_vit.data.prepare.plans import Plan
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.folder_listing import OutsideError
from gauss_vit.data.sources.labels import LABELS_FILE
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.mask_table import mask_lines
from gauss_vit.quantities import counted
from gauss_vit.waiting import announced

_NUM_SAMPLES = 64
_NUM_SHOWN = 15
_SAY_EVERY_SECONDS = 5.0


def run(invocation: Invocation) -> None:
    """Runs `data check` or `data prepare`.

    Raises:
      ConfigError: the word after `data` is neither `check` nor `prepare`, or a flag is missing.
      DataError: as `check` and `prepare_data_set`.
      StorageError: the prepared data set cannot be written.
    """
    actions: Mapping[str, Callable[[Invocation], None]] = {"check": check, "prepare": prepare_data_set}
    words = invocation.arguments
    if len(words) != 1 or words[0] not in actions:
        given = " ".join(words) or "nothing"
        raise ConfigError(f"data takes check or prepare and got {given}", do="write gauss-vit data check, for example")
    actions[words[0]](invocation)


def check(invocation: Invocation) -> None:
    """Prints which of the config's splits exist; the error about a missing one says how to get it.

    Raises:
      ConfigError: the model has another number of classes than the data.
      DataError: a split is missing or damaged; with `--deep`, an image cannot be read.
    """
    experiment = invocation.required_experiment()
    data = experiment.data
    say(f"data {data.name} in {data.data_dir}, {data.split_protocol} splits")
    is_deep = invocation.switch("deep")
    problems, num_classes = _check_splits(data, shows_masks=not is_deep)
    if problems and not is_deep:
        raise problems[0]
    of_head = experiment.task.num_classes
    if of_head is not None and num_classes not in (0, of_head):
        raise ConfigError(
            f"task.head.num_classes is {of_head}, but {data.name} has {num_classes} classes",
            do=f"set task.head.num_classes to {num_classes}",
        )
    if is_deep:
        _check_contents(data)


def _check_contents(data: Data) -> None:
    """Reads and decodes every image of the splits that a run uses, and prints what they are.

    Raises:
      DataError: DATA-DECODE, an image cannot be read.
    """
    num_damaged = 0
    for split in dict.fromkeys((data.train_split, data.eval_split)):
        source = splits.open_split(data, split)
        progress = _Progress(split=split, num_examples=len(source), start=time.monotonic())
        found = contents.read_contents(
            source, max_pixels=data.max_pixels, num_threads=data.num_threads, report=progress.report
        )
        say(f"  read     {split}: {found}")
        _say_masks(found.masks, source.class_names, limit=None)
        for problem in found.damaged:
            say(f"  damaged  {problem}")
        num_damaged += found.num_damaged
    if num_damaged:
        raise DataError(
            f"{counted(num_damaged, 'image')} of {data.name} in {data.data_dir} cannot be read",
            do="restore or remove them; with data.on_error=skip, training alone goes on without those that are damaged",
            code="DATA-DECODE",
        )


@dataclasses.dataclass(kw_only=True)
class _Progress:
    """Says on standard error, every few seconds, how many images have been read.

    Attributes:
      split: name of the split.
      num_examples: number of its images.
      start: time at which reading began, in seconds.
      said: time of the last line; that of the start at first.
    """

    split: str
    num_examples: int
    start: float
    said: float = 0.0

    def report(self, num_read: int) -> None:
        """Says a line if the last one is long ago."""
        now = time.monotonic()
        if now - max(self.said, self.start) < _SAY_EVERY_SECONDS:
            return
        self.said = now
        rate = num_read / (now - self.start)
        remark(f"{self.split}: {num_read:,} of {self.num_examples:,} images read, {rate:,.0f} a second")


def _say_masks(masks: MaskCounts, class_names: Sequence[str], *, limit: int | None) -> None:
    """Prints what masks hold, if there are any."""
    if masks.num_masks:
        head, *lines = mask_lines(masks, class_names, limit=limit, mark="█" if can_write("█") else "#")
        say("\n".join([f"  masks    {head}", *(f"           {line}" for line in lines)]))


def _check_splits(data: Data, *, shows_masks: bool) -> tuple[list[DataError], int]:
    """Prints the splits that a run uses; returns what is wrong with them, and the number of classes."""
    problems: list[DataError] = []
    num_classes = 0
    try:
        say(f"  splits   {', '.join(splits.known_splits(data))}")
    except DataError as error:
        say(f"  missing  {error.message}")
        return [error], num_classes
    for split in dict.fromkeys((data.train_split, data.eval_split)):
        try:
            with announced(f"reading {split}"):
                report = inspection.inspect_split(data, split, num_samples=_NUM_SAMPLES)
        except DataError as error:
            say(f"  wrong    {split}: {error.message}")
            problems.append(error)
            continue
        say(f"  found    {report.describe()}")
        for note in report.notes:
            say(f"  objects  {note}")
        if shows_masks:
            _say_masks(report.masks, report.class_names, limit=_NUM_SHOWN)
        num_classes = len(report.class_names)
    return problems, num_classes


def prepare_data_set(invocation: Invocation) -> None:
    """Writes the TFDS data set `--name` below `--data_dir` from `--from`, and prints where it is.

    The name drawn_shapes draws a data set of objects instead.

    Raises:
      ConfigError: a flag is missing or the name is not usable.
      DataError: the folder or an archive is damaged; nothing is left behind.
      StorageError: it cannot be written.
    """
    name, data_dir = invocation.text("name"), invocation.path("data_dir")
    if name == drawn_shapes.NAME:
        _draw_shapes(data_dir / name, seed=invocation.integer("seed") or 0)
        return
    reserved = (FOLDER, DIGITS, MASK_FOLDER, ADE20K, COCO, COCO_FOLDER)
    if not name.isidentifier() or name != name.lower() or name in reserved:
        raise ConfigError(
            f"--name={name} cannot name a data set", do="use small letters, digits and _: --name=my_birds"
        )
    with _with_remedies():
        plan = plan_of(
            invocation.path("from"),
            name,
            labels_file=_labels_file(invocation),
            follow_links=invocation.switch("follow_links"),
        )
    size, max_pixels = invocation.integer("size"), invocation.integer("max_pixels") or MAX_PIXELS
    target = data_dir / plan.name / plan.version
    if target.is_dir():
        say(f"{target} is there already; nothing was done")
        return
    with announced(f"writing {target}"), _with_remedies():
        plans.write(plan if size is None else plans.resized(plan, size, max_pixels=max_pixels), data_dir)
    say(f"{target} is ready: data.name={name!r}, data.data_dir={str(data_dir)!r}, splits {', '.join(plan.splits)}")
    say("  training images are in the order of their classes: a slice such as train[:90%] lacks the last ones")


@contextlib.contextmanager
def _with_remedies() -> Iterator[None]:
    """Names the flag of `data prepare` that helps, instead of the key of a config.

    Raises:
      DataError: that of the block, with another remedy.
    """
    try:
        yield
    except LargeImageError as error:
        raise DataError(error.message, do=error.remedy_by_flag, code=error.code) from error
    except OutsideError as error:
        raise DataError(error.message, do="add --follow_links if you trust it", code=error.code) from error


def _draw_shapes(target: Path, *, seed: int) -> None:
    """Draws images with objects, unless they are there.

    Raises:
      StorageError: they cannot be written.
    """
    if target.is_dir():
        say(f"{target} is there already; nothing was done")
        return
    num_images = drawn_shapes.NUM_IMAGES
    with announced(f"drawing {target}"):
        drawn_shapes.write(target, seed=seed, num_images=num_images)
    counts = ", ".join(f"{split} with {counted(number, 'image')}" for split, number in num_images.items())
    say(f"{target} is ready: data.name='coco_folder', data.data_dir={str(target)!r}, splits {counts}")


def plan_of(source: Path, name: str, *, labels_file: Path | None, follow_links: bool = False) -> Plan:
    """Returns the plan for the ImageNet archives in a folder, or for the folder's images.

    Raises:
      DataError: there is neither.
      ConfigError: a list of labels is given for a folder.
    """
    if any((source / archive).is_file() for archive in (TRAIN_ARCHIVE, VALIDATION_ARCHIVE)):
        return archive_plan(source, name, labels_file=labels_file)
    if labels_file is not None:
        message = f"--labels is for the ImageNet archives, and {source} has none"
        raise ConfigError(message, do=f"put a {LABELS_FILE} into the folder")
    return plans.folder_plan(source, name, follow_links=follow_links)


def _labels_file(invocation: Invocation) -> Path | None:
    return invocation.path("labels") if invocation.is_given("labels") else None
