"""Mask R-CNN on a small Swin with the Gaussian, from scratch, on drawn circles, squares and triangles: for a laptop.

`configs/drawn_shapes.py:bias=gauss|gauss_per_head|none`; gauss where nothing is given. The model is smaller than
Swin-T in every way, and its anchors half as large for images of 128 pixels.

Command:  gauss-vit data prepare --name=drawn_shapes --data_dir=sets
          python -m gauss_vit.main --config=configs/drawn_shapes.py:bias=gauss --workdir=W
Data:     1,000 training and 200 validation images with 3.5 objects each, drawn by the first command from a seed.
Time:     300 steps in 6 minutes on two shared cores, after 1.6 minutes of compilation.
Expected: boxes and masks of a validation AP well above zero after a few minutes.
Measured: a validation AP of 9.7 % for boxes and 11.3 % for masks after 300 steps (gauss, seed 0, commit 34d7079), still
          rising fast, and of 41.7 and 40.6 % after 2,050 steps of a longer schedule; docs/results.md has both.
"""

import dataclasses

from gauss_vit.config import arguments
from gauss_vit.data.config import Data
from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.experiment import Experiment
from gauss_vit.heads.box_head import BoxHead
from gauss_vit.heads.mask_head import MaskHead
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.rpn import RPNHead
from gauss_vit.models.presets.swin import SWIN_TINY, for_dense_tasks
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import NORMS_AND_POSITIONS, AdamW, Optimizer, Schedule, Step, Warmup

SMALL = for_dense_tasks(
    dataclasses.replace(SWIN_TINY, width=32, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window=(6, 6)),
    image_size=(128, 128),
    stochastic_depth=0.1,
)
HEAD = MaskRCNNHead(
    num_classes=3,
    channels=64,
    rpn=RPNHead(scale=4.0, num_samples=64, num_before=200, num_before_inference=200, num_proposals=100),
    box=BoxHead(hidden=128, num_samples=32, num_candidates=300, limit=20),
    mask=MaskHead(channels=32, num_convolutions=2),
)
BIASES = {"gauss": (Gaussian(sigma=2.0),), "gauss_per_head": (Gaussian(sigma=2.0, per_head=True),), "none": ()}
ARGUMENTS = {"bias": tuple(BIASES)}


def get_config(argument: str = "") -> Experiment:
    """The experiment with one bias, such as "bias=none"."""
    chosen = arguments.choose(argument, ARGUMENTS)
    return Experiment(
        model=with_terms(SMALL, *BIASES[chosen["bias"]]),
        task=Detection(head=HEAD),
        data=Data(
            name="coco_folder",
            data_dir="sets/drawn_shapes",
            targets="objects",
            train_split="train",
            eval_split="validation",
            train_transforms=(
                RandomFlip(),
                ResizeOrCrop(
                    short_sides=(80, 96, 112, 128),
                    longest_side=128,
                    short_sides_before_crop=(96, 112, 128),
                    crop_sides=(64, 112),
                ),
            ),
            eval_transform=ResizeToFit(scale=(128, 128)),
            normalization=Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            num_threads=2,
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=1e-3,
            weight_decay=0.05,
            schedule=Schedule(curve=Step(shares=(0.75, 0.9)), warmup=Warmup(steps=50, is_prefix=False)),
            no_decay=NORMS_AND_POSITIONS,
            max_gradient_norm=10.0,
        ),
        training=Training(
            batch_size=8,
            num_steps=1000,
            eval_batch_size=8,
            log_every=25,
            checkpoint_every=250,
            observe_images=0,
            best=Best(metric="eval/segm_AP", mode="max"),
        ),
        evaluators=(Evaluator(every=250, measure=CocoMeasure()),),
        mesh=MeshConfig(),
        seed=0,
    )
