"""Measures segmentation runs on held-out images: mIoU of each seed, bootstrap intervals, and the majority class.

python -m benchmarks.held_out --arm=none=W/none_0,W/none_1 --arm=gauss=W/gauss_0,W/gauss_1 [--out=F.json]

An arm is a name and the workdirs of its runs, which differ in the seed. All runs are measured on the evaluation split
of the first one's config. An interval holds the middle 95 % of 2,000 draws of as many images as there are, with
replacement: from the pixels of the drawn images come the mIoU of each seed, and then their mean. The majority class is
the one with most pixels in the training split, given to every pixel. Differences are to the first arm, on the same
draws. Intervals are of the choice of images, deviations of the choice of seeds.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32

from benchmarks import rows, timing
from gauss_vit.annotations import Annotated
from gauss_vit.assembly import feeds, named_model
from gauss_vit.assembly.device import experiment_here
from gauss_vit.batches import Batch
from gauss_vit.experiment import Experiment
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.models import construct
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train import evaluation, mesh
from gauss_vit.train.step import Forward, make_eval_step

NUM_DRAWS = 2000
MIDDLE = (2.5, 97.5)

Counts = Int[np.ndarray, "images 3 classes"]
"""Pixels of each class in every image: those that are right, those of the label, and those of the prediction."""


@dataclass(frozen=True, kw_only=True)
class ByImage:
    """The counts of every image, as the measure of an evaluation."""

    def results(
        self, task: Segmentation, outputs: DenseLogits, batch: Batch
    ) -> tuple[Int32[Array, "batch 3 classes"], Bool[Array, " batch"]]:
        """Counts the pixels that are not ignored."""
        mask, classes = batch.targets.mask, jnp.arange(task.num_classes, dtype=jnp.uint8)
        is_valid = mask.values != mask.fill
        index = task.predict(outputs, batch).index
        kinds = (is_valid & (index == mask.values), is_valid, is_valid)
        labels = (mask.values, mask.values, index)

        def of_class(number: Array) -> Int32[Array, "batch 3"]:
            found = [kind & (label == number) for kind, label in zip(kinds, labels, strict=True)]
            return jnp.stack([jnp.sum(each, axis=(1, 2), dtype=jnp.int32) for each in found], axis=1)

        return jnp.moveaxis(jax.lax.map(of_class, classes), 0, 2), batch.is_real

    def collector(self, source: Annotated | None) -> "Rows":
        """An empty collector; batches hold what it needs."""
        del source
        return Rows()


class Rows:
    """Collects the counts of real images in their order."""

    def __init__(self):
        self.found: list[Counts] = []

    def add(self, results: tuple[Counts, Bool[np.ndarray, " batch"]]) -> None:
        """Adds those of a batch."""
        counts, is_real = results
        self.found.append(counts[is_real])

    def compute(self) -> Mapping[str, float]:
        """Computes the mIoU of all images."""
        return {"miou": miou(np.concatenate(self.found).sum(axis=0))}


def miou(counts: Float[np.ndarray, "3 classes"] | Int[np.ndarray, "3 classes"]) -> float:
    """Computes the mean of intersection over union, over the classes that are in a label or a prediction.

    >>> miou(np.array([[2, 1, 0], [4, 1, 0], [2, 3, 0]]))
    0.41666666666666663
    """
    right, labels, predictions = counts
    union = labels + predictions - right
    return float(np.mean(right[union > 0] / union[union > 0]))


def counts_of(folder: Path, shown: Experiment) -> Counts:
    """Measures the newest checkpoint of a run on the evaluation split of an experiment."""
    experiment = experiment_here(named_model.run_experiment(folder))
    devices = mesh.make(mesh.MeshConfig(), jax.devices())
    graph, abstract = construct.abstract(experiment.network)
    restored = named_model.restore(folder, mesh.with_shardings(devices, abstract), config=experiment.model)
    forward = Forward(graph=graph, task=experiment.task, normalization=experiment.normalization)
    batch_size, measure = shown.training.eval_batch_size, ByImage()
    collected = measure.collector(None)
    evaluation.evaluate(
        make_eval_step(forward, mesh=devices, params=restored.arrays, measure=measure),
        restored.arrays,
        feeds.eval_batches(
            shown,
            feeds.open_split(shown, shown.data.eval_split),
            batch_size=batch_size,
            share=mesh.share_of_process(devices),
        ),
        collector=collected,
        mesh=devices,
        batch_size=batch_size,
        should_stop=lambda: False,
    )
    return np.concatenate(collected.found)


def majority(shown: Experiment, counts: Counts) -> Counts:
    """Makes the counts of a constant prediction: the training split's most frequent class.

    Args:
      shown: The experiment.
      counts: Of a run, on the same evaluation images.
    """
    source, num_classes = feeds.open_split(shown, shown.data.train_split), counts.shape[2]
    masks = (source[index].targets.mask for index in range(len(source)))
    pixels = sum(np.bincount(mask.values[mask.values != mask.fill], minlength=num_classes) for mask in masks)
    chosen, labels = int(np.argmax(pixels)), counts[:, 1]
    constant = np.zeros_like(counts)
    constant[:, 0, chosen] = labels[:, chosen]
    constant[:, 1] = labels
    constant[:, 2, chosen] = labels.sum(axis=1)
    return constant


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What was found of the runs of an arm; shares in 0..1.

    Attributes:
      name: of the arm.
      miou: of each seed.
      mean: of the seeds.
      deviation: of the seeds; 0 for a single one.
      interval: of the mean.
      difference: interval of the mean less that of the first arm.
      accuracy: share of the pixels that are right, of each seed.
    """

    name: str
    miou: tuple[float, ...]
    mean: float
    deviation: float
    interval: tuple[float, float]
    difference: tuple[float, float]
    accuracy: tuple[float, ...]


def summed_up(arms: Mapping[str, Sequence[Counts]]) -> list[Arm]:
    """Draws images, the same for all arms, and sums up what each arm has on them."""
    num_images = len(next(iter(arms.values()))[0])
    draws = np.random.default_rng(0).multinomial(num_images, np.full(num_images, 1 / num_images), size=NUM_DRAWS)
    drawn = {
        name: np.mean([[miou(found) for found in np.tensordot(draws, run, axes=1)] for run in runs], axis=0)
        for name, runs in arms.items()
    }
    first = next(iter(drawn.values()))
    found = []
    for name, runs in arms.items():
        totals = [run.sum(axis=0) for run in runs]
        seeds = tuple(miou(total) for total in totals)
        low, high = np.percentile(drawn[name], MIDDLE).tolist()
        less, more = np.percentile(drawn[name] - first, MIDDLE).tolist()
        found.append(
            Arm(
                name=name,
                miou=seeds,
                mean=float(np.mean(seeds)),
                deviation=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0,
                interval=(low, high),
                difference=(less, more),
                accuracy=tuple(float(total[0].sum() / total[1].sum()) for total in totals),
            )
        )
    return found


def main() -> None:
    """Prints a line for every arm, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", action="append", required=True, help="NAME=WORKDIR,WORKDIR,...; may be repeated")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    named = [arm.partition("=") for arm in options.arm]
    folders = {name: [Path(folder) for folder in listed.split(",")] for name, _, listed in named}
    shown = named_model.run_experiment(next(iter(folders.values()))[0])
    arms = {name: [counts_of(folder, shown) for folder in listed] for name, listed in folders.items()}
    first = next(iter(arms.values()))[0]
    arms["majority class"] = [majority(shown, first)]
    found = [asdict(arm) for arm in summed_up(arms)]
    for arm in found:
        print(json.dumps(arm))
    record = {"command": sys.argv[1:], "commit": timing.commit(), "num_images": len(first), "arms": found}
    rows.write(options.out, record)


if __name__ == "__main__":
    main()
