"""A small report on a made-up model, with a non-square grid, class tokens and hostile names."""

from dataclasses import replace

import numpy as np

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.token import all_tokens, patch_center
from gauss_vit.batches import IGNORED
from gauss_vit.inspect.report.areas import report_areas
from gauss_vit.inspect.report.contents import Report
from gauss_vit.inspect.report.curves import Chart, Curve
from gauss_vit.inspect.report.images import ReportImage, report_image
from gauss_vit.inspect.report.layers import ReportLayer
from gauss_vit.inspect.report.reduced_fields import ReportField, report_field
from gauss_vit.tasks.label_map import Label, LabelledBox, LabelMap

GRID, IMAGE_SIZE, LAYERS, HEADS, PREFIX = (3, 5), (24, 40), 3, 2, 2
HOSTILE = '</script><img src=x onerror="document.title=1">{{data}}&\u2028'
COLOURS = ((10, 200, 30), (1, 2, 3), (0, 80, 250))
SHOWN = HOSTILE.replace("\u2028", r"\u2028")


def weights(seed: int) -> np.ndarray:
    """Attention with rows that sum to 1."""
    tokens = PREFIX + GRID[0] * GRID[1]
    logits = np.random.default_rng(seed).normal(0, 2, size=(LAYERS, HEADS, tokens, tokens))
    return (np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)).astype(np.float32)


def fields(layer: int = LAYERS) -> tuple[ErfMap, ...]:
    """A Gaussian about every patch, wider to the right, and in earlier layers half a pixel narrower each."""
    row, column = np.ix_(np.arange(IMAGE_SIZE[0]), np.arange(IMAGE_SIZE[1]))
    found = []
    for token in all_tokens(GRID):
        y, x = patch_center(token, grid=GRID, image_size=IMAGE_SIZE)
        values = np.exp(-(((row - y) / 3) ** 2) / 2 - (((column - x) / (3 + token[1] + (layer - LAYERS) / 2)) ** 2) / 2)
        found.append(
            ErfMap(values=values / values.sum(), magnitude=1.0, num_images=7, token=token, grid=GRID, protocol=BMVC2023)
        )
    return tuple(found)


def packed_fields() -> tuple[ReportField | None, ...]:
    """Fields of the second layer, a value to 2 x 2 px, and of the last one; those of the first are left out."""
    packed = []
    for layer, shape in ((2, (12, 20)), (LAYERS, IMAGE_SIZE)):
        maps = fields(layer)
        fits = fit_receptive_fields(np.stack([field.values for field in maps]))
        packed.append(report_field(maps, fits, shape=shape))
    return None, *packed


def tables() -> np.ndarray:
    """Bias tables that differ in every layer, head and offset, of either sign in the last layer."""
    found = np.random.default_rng(5).uniform(0, 4, size=(LAYERS, HEADS, 2 * GRID[0] - 1, 2 * GRID[1] - 1))
    found[-1] -= 2
    return found.astype(np.float32)


def images(num_images: int = 2) -> tuple[ReportImage, ...]:
    """Noise with attention; the first image is taken for what it is, the second one for another class."""
    pixels = np.random.default_rng(9).integers(256, size=(num_images, *IMAGE_SIZE, 3)).astype(np.uint8)
    return tuple(
        replace(
            report_image(f"{index} {HOSTILE}", photo, weights(index), grid=GRID),
            label=index,
            top=((0, 0.75), (2, 0.125)),
        )
        for index, photo in enumerate(pixels)
    )


def label_map(split: int) -> LabelMap:
    """Sea in the columns before `split`, hostile land behind it, and no label in the last two rows."""
    values = np.where(np.arange(IMAGE_SIZE[1])[None, :] < split, 2, 0).repeat(IMAGE_SIZE[0], axis=0)
    values[-2:] = IGNORED
    labels = tuple(
        Label(name=name, colour=colour) for name, colour in zip((HOSTILE[:26], "sky", "sea"), COLOURS, strict=True)
    )
    return LabelMap(values=values.astype(np.uint8), labels=labels)


def segmented_report() -> Report:
    """The same report of a model that says where something is: in the data the sea ends 4 px further left."""
    areas = report_areas(label_map(20), title="predicted"), report_areas(label_map(16), title="labelled")
    first, second = report().images
    return replace(report(), images=tuple(replace(image, label=None, top=(), areas=areas) for image in (first, second)))


def detected_report() -> Report:
    """The same report of a model that also finds a hostile object, whose box is rows 12 to 20 and columns 24 to 36."""
    label = Label(name=HOSTILE, colour=COLOURS[1])
    box = LabelledBox(yxyx=(12.0, 24.0, 20.0, 36.0), label=label, share=0.5)
    areas = (report_areas(replace(label_map(20), boxes=(box,)), title="predicted"),)
    return replace(report(), images=tuple(replace(image, areas=areas) for image in report().images))


def report() -> Report:
    """The whole report."""
    layers = tuple(
        ReportLayer(
            table=table,
            grid=GRID,
            shows_patches=True,
            fit_sigma_yx=(1.0, 1.5),
            amplitude=np.array([-2.0 - layer]),
            sigma_y=np.array([1.25]),
            sigma_x=np.array([1.25]),
            attention=layer,
        )
        for layer, table in enumerate(tables())
    )
    return Report(
        model=HOSTILE,
        description=f"ViT, 3 layers, {HOSTILE}",
        step=1234,
        num_parameters=5_678_000,
        image_size=IMAGE_SIZE,
        prefix_tokens=PREFIX,
        grid=GRID,
        protocol=BMVC2023,
        num_images=7,
        fields=packed_fields(),
        end="end of the trunk",
        layers=layers,
        class_names=("heron", HOSTILE),
        images=images(),
        training=(
            Chart(
                name="loss",
                title="Loss",
                unit="",
                curves=(
                    Curve(name="train", steps=(400, 800, 1234), values=(2.0, None, 0.5)),
                    Curve(name=HOSTILE, steps=(1234,), values=(0.75,)),
                ),
            ),
        ),
        notes=(f"A note {HOSTILE}",),
    )
