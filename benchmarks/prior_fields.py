"""Measures how far the runs of a study look: at the start, after training, and after each change of their positions.

python -m benchmarks.prior_fields W --images=IMAGES --out=DIR [--max_images=100]

W is the folder of a study of classifiers that were trained from scratch. Of every finished run the receptive field of
the central patch is measured before the final normalisation, as its half-mass radius, and the mean distance of
attention over layers and heads, both in pixels: at step 0, with the parameters that its seed draws, after training, and
with positions re-initialised, zeroed and without the Gaussian, where the model has something that this changes.

DIR gets a file for each run, which is read instead of measured again if it is of the same run and images;
`prior_fields.json` with means over seeds and changes since training within seeds, with Student's t intervals of 95 %;
and `prior_fields.png` and `.pdf`, one panel for each arm.
"""

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks import rows, timing
from gauss_vit.analysis.paired import Estimate, estimate, within_seeds
from gauss_vit.analysis.protocol import PRE_NORM
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import center_token, patch_center
from gauss_vit.assembly import compilation_cache
from gauss_vit.assembly.named_model import NamedModel, intervened, trained
from gauss_vit.data.images.image import open_images
from gauss_vit.inspect.attention import read_attention
from gauss_vit.inspect.erf_run import Measurement, measure
from gauss_vit.inspect.evaluation_results import RESULT
from gauss_vit.models import construct
from gauss_vit.plots.canvas import (
    FAINT,
    LABEL_SIZE,
    TWO_COLUMNS_INCHES,
    blank_figure,
    encode,
    hide_box,
    style_axes,
    write_caption,
    write_heading,
)
from gauss_vit.quantities import counted
from gauss_vit.train.state import run_key
from gauss_vit.train.workdir.lock import CONFIG
from gauss_vit.weights.intervention import applicable

START, TRAINED = "start", "trained"
CONDITIONS = (START, TRAINED, "reinit", "zero", "without_gaussian")
NUMBERS = {"half_mass_radius": "radius of half the field's mass", "attention_distance": "mean distance of attention"}
COLOURS = dict(zip(NUMBERS, ("#0b5c8f", "#d55e00"), strict=True))
_BATCH_SIZE = 20
_SHIFT, _PANEL_INCHES, _COLUMNS = 0.14, 1.35, 4

Numbers = Mapping[str, float]
"""Numbers of one model in one condition, in pixels, by name."""

Found = Mapping[str, Mapping[int, Mapping[str, Numbers]]]
"""Numbers by arm, seed and condition."""


def runs_of(study: Path) -> dict[str, dict[int, Path]]:
    """Finds the finished runs of a study by arm and seed, the arms in the order of the alphabet."""
    found: dict[str, dict[int, Path]] = {}
    for path in study.glob(f"*/seed_*/{RESULT}"):
        found.setdefault(path.parent.parent.name, {})[int(path.parent.name.removeprefix("seed_"))] = path.parent
    return {arm: dict(sorted(runs.items())) for arm, runs in sorted(found.items())}


def conditions_of(named: NamedModel, *, seed: int) -> dict[str, NamedModel]:
    """Returns a trained model in every condition that makes a difference to it.

    Args:
      named: the model after training.
      seed: seed of its run, which drew the parameters of step 0.
    """
    drawn = nnx.to_pure_dict(nnx.state(construct.build(named.network, run_key(seed))))
    changes = [name for name in applicable(named.config) if name in CONDITIONS]
    return {
        START: dataclasses.replace(named, params=drawn, step=0),
        TRAINED: named,
        **{name: intervened(named, name, seed=seed) for name in changes},
    }


def measured(named: NamedModel, images: Sequence[Path]) -> dict[str, float]:
    """Measures the receptive field and the attention of a model, in pixels."""
    token, paths = center_token(named.config.grid), tuple(images)
    measurement = Measurement(
        tokens=(token,), layer=None, protocol=PRE_NORM, images=paths, batch_size=_BATCH_SIZE, stem=named.name
    )
    (field,) = measure(named, measurement).maps()
    target = patch_center(token, grid=field.grid, image_size=field.values.shape)
    layers = read_attention(named, paths, token=token).layers
    return {
        "half_mass_radius": half_mass_radius(field.values, target),
        "attention_distance": float(np.mean([layer.distance_px.mean() for layer in layers])),
    }


def of_run(folder: Path, images: Sequence[Path], *, seed: int, out: Path) -> dict[str, Numbers]:
    """Measures a run in all conditions, or reads what was measured of it before."""
    path, digest = out / f"{folder.parent.name}_seed_{seed}.json", digest_of(folder, images)
    if not path.is_file() or json.loads(path.read_text()).get("digest") != digest:
        named = trained(folder)
        found = {name: measured(each, images) for name, each in conditions_of(named, seed=seed).items()}
        rows.write(path, {"digest": digest, "conditions": found})
        # What was compiled for this model is of no use to the next one.
        jax.clear_caches()
    return json.loads(path.read_text())["conditions"]


def digest_of(folder: Path, images: Sequence[Path]) -> str:
    """Returns what tells a run and its images from others: its experiment and result, their names and sizes."""
    run = ((folder / name).read_text() for name in (CONFIG, RESULT))
    files = (f"{image.name} {image.stat().st_size}" for image in images)
    return hashlib.sha256("\n".join((*run, *files)).encode()).hexdigest()[:16]


def summed_up(found: Found) -> list[dict[str, object]]:
    """Lists arm, condition and number with the mean over seeds, and its change since training within seeds."""
    return [
        {
            "arm": arm,
            "condition": condition,
            "number": number,
            "seeds": list(runs),
            "mean": dataclasses.asdict(over_seeds(runs, condition, number)),
            "change": None
            if condition == TRAINED
            else dataclasses.asdict(change_since_training(runs, condition, number)),
        }
        for arm, runs in found.items()
        for condition in conditions_in(runs)
        for number in NUMBERS
    ]


def conditions_in(runs: Mapping[int, Mapping[str, Numbers]]) -> list[str]:
    """Lists the conditions that the runs of an arm have, in order."""
    return [name for name in CONDITIONS if all(name in run for run in runs.values())]


def over_seeds(runs: Mapping[int, Mapping[str, Numbers]], condition: str, number: str) -> Estimate:
    """Estimates the mean of a number over the seeds of an arm."""
    return estimate([run[condition][number] for run in runs.values()])


def change_since_training(runs: Mapping[int, Mapping[str, Numbers]], condition: str, number: str) -> Estimate:
    """Estimates how much a number differs, within seeds, from that after training."""
    now, trained_numbers = ({seed: run[name][number] for seed, run in runs.items()} for name in (condition, TRAINED))
    return estimate(list(within_seeds(now, trained_numbers).values()))


def fields_figure(found: Found, *, num_images: int) -> Figure:
    """Draws a panel for each arm: a row for each condition, with the means of both numbers and their intervals."""
    num_columns = min(_COLUMNS, len(found))
    num_rows = -(-len(found) // num_columns)
    figure = blank_figure(TWO_COLUMNS_INCHES, 0.9 + _PANEL_INCHES * num_rows)
    panels = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True, sharey=True)
    for axes, (arm, runs) in zip(panels.flat, found.items(), strict=False):
        _draw_arm(axes, runs)
        axes.set_title(arm, fontsize=LABEL_SIZE, loc="left", parse_math=False)
    for axes in panels.flat[len(found) :]:
        axes.set_visible(False)
    entries = [
        Line2D([], [], color=COLOURS[each], marker="o", markersize=4, label=text) for each, text in NUMBERS.items()
    ]
    figure.legend(handles=entries, loc="outside upper right", ncols=2, frameon=False, fontsize=LABEL_SIZE)
    write_heading(figure, "How far the models look")
    num_seeds = max(len(runs) for runs in found.values())
    intervals = f"Means and t intervals of 95 % over {counted(num_seeds, 'seed')}"
    write_caption(figure, f"{intervals}; dashed: after training; {num_images} images, {PRE_NORM.name}")
    return figure


def _draw_arm(axes: Axes, runs: Mapping[int, Mapping[str, Numbers]]) -> None:
    for shift, number in zip((-_SHIFT, _SHIFT), NUMBERS, strict=True):
        for condition in conditions_in(runs):
            place, mean = CONDITIONS.index(condition) + shift, over_seeds(runs, condition, number)
            axes.plot(mean.mean, place, "o", color=COLOURS[number], markersize=3.5, markeredgewidth=0)
            if mean.interval is not None:
                axes.plot([mean.interval.low, mean.interval.high], [place, place], color=COLOURS[number], linewidth=1.2)
        at_end = over_seeds(runs, TRAINED, number).mean
        axes.axvline(at_end, color=FAINT, linewidth=0.5, linestyle=(0, (4, 3)), zorder=0)
    axes.set_ylim(len(CONDITIONS) - 0.5, -0.5)
    axes.set_yticks(range(len(CONDITIONS)), labels=[name.replace("_", " ") for name in CONDITIONS])
    style_axes(axes, x_label="pixels", y_label="")
    axes.label_outer()
    hide_box(axes)


def main() -> None:
    """Measures the runs of a study, and writes the record and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--max_images", type=int, default=100, help="number of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    options = parser.parse_args()
    compilation_cache.keep()
    images = open_images(options.images)[: options.max_images]
    found = {
        arm: {seed: of_run(folder, images, seed=seed, out=options.out) for seed, folder in runs.items()}
        for arm, runs in runs_of(options.study).items()
    }
    if not found:
        parser.error(f"{options.study} has no finished runs; give the folder of a study, which has ARM/seed_S")
    summary = summed_up(found)
    record = {"command": sys.argv[1:], "commit": timing.commit(), "num_images": len(images), "rows": summary}
    rows.write(options.out / "prior_fields.json", record)
    figure = fields_figure(found, num_images=len(images))
    for file_format in ("png", "pdf"):
        (options.out / f"prior_fields.{file_format}").write_bytes(encode(figure, file_format))
    for row in summary:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
