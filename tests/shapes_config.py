"""An experiment on a folder of drawn shapes with masks that runs in seconds on a CPU: a config file for tests."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from gauss_vit.data.config import Data
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import Resize
from gauss_vit.experiment import Experiment
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import Position
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from tests.tasks.shapes import CLASSES, SIZE, PatchHead, draw, painted
from tests.tiny_config import MODEL

SIZES = ((32, 48), (48, 72))
"""Both are 16 x 24 for the model, and lie on canvases of two sizes."""


def make_shapes(root: Path) -> Path:
    """Writes a folder of images and masks, some of them without a label."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 5)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            mask = draw(random, SIZES[index % 2])
            Image.fromarray(mask).save(root / "masks" / split / f"{index}.png")
            Image.fromarray(painted(random, mask)).save(root / "images" / split / f"{index}.png")
    (root / "classes.txt").write_text("\n".join(CLASSES))
    return root


def get_config() -> Experiment:
    """A head that classifies patches on one narrow block, measured at the size of the files."""
    return Experiment(
        model=dataclasses.replace(MODEL, image_size=SIZE, width=8, depth=1, num_heads=1, position=Position()),
        task=Segmentation(head=PatchHead()),
        data=Data(
            name="mask_folder",
            targets="masks",
            train_split="train",
            eval_split="val",
            train_transforms=(Resize(interpolation="bilinear"),),
            eval_transform=ResizeToFit(scale=(24, 16)),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
            num_threads=1,
        ),
        optimizer=Optimizer(rule=AdamW(), learning_rate=0.05, weight_decay=0.0, schedule=Schedule(curve=Constant())),
        training=Training(
            batch_size=8,
            num_steps=20,
            eval_batch_size=2,
            log_every=10,
            checkpoint_every=10,
            observe_images=0,
            best=Best(metric="eval/miou", mode="max"),
        ),
        evaluators=(Evaluator(every=10),),
        mesh=MeshConfig(data=1),
        seed=0,
    )
