"""Handwritten digits with the Gaussian attention bias: the first thing to run, no download needed.

A small relative-position ViT on 1,797 real scans of 8x8 pixels (scikit-learn's digits), upscaled to 32x32; every fifth
is a test image.

Command:  python -m gauss_vit.main --config=configs/digits_gauss.py --workdir=runs/digits
Time:     about two minutes on two CPU cores.
Expected: a test accuracy of at least 0.95.
Measured: 0.983 with seed 0.
"""

import dataclasses

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomShift, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, Position, RelativeMlp
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer, Schedule, Warmup


def get_config() -> Experiment:
    """The experiment."""
    model = dataclasses.replace(
        RELPOS_SMALL,
        image_size=(32, 32),
        patch_size=(4, 4),
        width=64,
        depth=4,
        num_heads=4,
        layer_scale=0.1,
        position=Position(
            terms=(
                RelativeMlp(hidden=32),
                Gaussian(sigma=2.0),
            )
        ),
    )
    data = Data(
        name="digits",
        train_split="train",
        eval_split="test",
        train_transforms=(RandomShift(max_shift_px=2),),
        eval_transform=ResizeCenterCrop(crop_fraction=1.0),
        normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        num_threads=2,
    )
    return Experiment(
        model=model,
        task=Classification(head=LinearHead(num_classes=10), label_smoothing=0.1),
        data=data,
        optimizer=Optimizer(
            rule=AdamW(), learning_rate=2e-3, weight_decay=0.05, schedule=Schedule(warmup=Warmup(steps=50))
        ),
        training=Training(
            batch_size=64,
            num_steps=600,
            eval_batch_size=120,
            log_every=50,
            checkpoint_every=200,
            observe_every=200,
            observe_images=360,
            best=Best(metric="eval/top1", mode="max"),
        ),
        evaluators=(Evaluator(every=200),),
        mesh=MeshConfig(),
        seed=0,
    )
