"""The train step fed by the input pipeline, beside the same step on a batch of noise that stays on the device."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from benchmarks import rows, timing
from benchmarks.rows import Row
from benchmarks.steps import TASK, Steps, experiment_of
from benchmarks.timing import Seconds
from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.data import pipeline
from gauss_vit.data.examples import Example
from gauss_vit.data.file_reading import read_file, sizes
from gauss_vit.data.images.image import open_images
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, Resampler
from gauss_vit.files import FileSet
from gauss_vit.models.vit import ViTConfig
from gauss_vit.train.prefetch import place_ahead

BAR = 0.95
"""The share of the images a second on noise that real input must leave."""
ENDLESS = 10**9


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Image files as a source; their order is their class, as only the speed matters."""

    paths: tuple[Path, ...]
    num_classes: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """Numbers."""
        return tuple(map(str, range(self.num_classes)))

    @property
    def padding_targets(self) -> ClassTargets:
        """Class 0."""
        return ClassTargets(label=np.int32(0))

    def file_set(self) -> FileSet:
        """Reads the sizes of the files."""
        names = tuple(map(str, self.paths))
        return FileSet.of(zip(names, sizes(Path(), names), strict=True))

    def __len__(self) -> int:
        """How many files there are."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        """Reads a file, again every time."""
        path = self.paths[index]
        return Example(
            image=read_file(path), targets=ClassTargets(label=np.int32(index % self.num_classes)), name=str(path)
        )

    def __repr__(self) -> str:
        """Says how many."""
        return f"Photos(num_examples={len(self)})"


def stream(
    folder: Path,
    config: ViTConfig,
    *,
    batch_size: int,
    num_threads: int,
    num_steps: int = ENDLESS,
    resampler: Resampler = "pillow",
) -> Iterator[Batch]:
    """Batches of random resized crops and flips of the photos in a folder, as a run makes them, epoch after epoch."""
    return pipeline.train_batches(
        Photos(paths=open_images(folder), num_classes=TASK.head.num_classes),
        transforms=(RandomResizedCrop(resampler=resampler), RandomFlip()),
        image_size=config.image_size,
        batch_size=batch_size,
        seed=0,
        start_step=0,
        num_steps=num_steps,
        num_threads=num_threads,
    )


def cases(config: ViTConfig, options: argparse.Namespace) -> dict[str, Callable[[], Seconds]]:
    """Makes both sides of a model, which share a compiled step and a train state.

    Each run is timed after one that is not: by then the threads, which fill their queue while the other side has its
    turn, have only as many images to make as are used.
    """
    steps = Steps(experiment_of(config, batch_size=options.batch_size))
    batches = stream(
        options.data,
        config,
        batch_size=options.batch_size,
        num_threads=options.input_threads,
        resampler=options.resampler,
    )
    placed = place_ahead(batches, steps.mesh)
    return {
        f"synthetic {config.compute.dtype}": partial(
            timing.settled, lambda: steps.along(repeat(steps.batch, options.steps))
        ),
        f"real {config.compute.dtype}": partial(timing.settled, lambda: steps.along(islice(placed, options.steps))),
    }


def compared(found: dict[str, list[Seconds]], options: argparse.Namespace, *, is_cpu: bool) -> list[Row]:
    """A row for every type by the clock, which is judged, and on a CPU one by processor seconds.

    The clock sees a step that waits for its images; processor seconds see what a busy machine does not change.
    """
    table = []
    for dtype in [name.removeprefix("real ") for name in found if name.startswith("real ")]:
        for clock in ("wall", "cpu") if is_cpu else ("wall",):
            real, synthetic = (
                [
                    options.batch_size * options.steps / seconds
                    for seconds in timing.of_clock(found[f"{side} {dtype}"], clock)
                ]
                for side in ("real", "synthetic")
            )
            table.append(
                Row(
                    what=f"real input, {dtype}, {'by the clock' if clock == 'wall' else 'processor seconds'}",
                    ours=rows.figure(real, "images/s"),
                    peer=rows.figure(synthetic, "images/s"),
                    ratio=rows.quotient(real, synthetic),
                    at_least=BAR if clock == "wall" else None,
                )
            )
    return table


def notes(options: argparse.Namespace) -> tuple[str, ...]:
    """What a reader must know of the sides."""
    paths = open_images(options.data)
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
    return (
        f"Batch {options.batch_size}, depth {options.depth or 12}, {options.steps} steps a round.",
        f"{len(paths)} photos of {kilobytes:.0f} kB are read, decoded, cropped, resized (resampler"
        f" {options.resampler}) and flipped by {options.input_threads} threads on the same {options.threads} cores as"
        " the step.",
    )
