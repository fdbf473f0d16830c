"""A study in minutes: the Gaussian, the relative MLP, both and neither on the embedded digits.

Command:  gauss-vit study --config=configs/studies/digits.py --workdir=W
Time:     --plan says: about a minute for each of twelve runs on two CPU cores.
Expected: every arm learns; differences of a few points, of which three seeds show the large ones alone.
Measured: not run.
"""

import dataclasses

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomShift, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, Position, RelativeMlp
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.classification import Classification
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer, Schedule, Warmup

GAUSSIAN, RELATIVE = Gaussian(sigma=2.0), RelativeMlp(hidden=32)
TERMS = {"none": (), "gauss": (GAUSSIAN,), "relative": (RELATIVE,), "both": (RELATIVE, GAUSSIAN)}


def get_study() -> Study:
    """Four arms, three seeds."""
    return Study(
        title="Priors on digits",
        arms=tuple(Arm(name=name) for name in TERMS),
        seeds=(0, 1, 2),
        baseline="none",
        hours_per_run=0.02,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    return Experiment(
        model=dataclasses.replace(
            RELPOS_SMALL,
            image_size=(32, 32),
            patch_size=(4, 4),
            width=64,
            depth=4,
            num_heads=4,
            layer_scale=0.1,
            position=Position(terms=TERMS[arm]),
        ),
        task=Classification(head=LinearHead(num_classes=10), label_smoothing=0.1),
        data=Data(
            name="digits",
            train_split="train",
            eval_split="test",
            train_transforms=(RandomShift(max_shift_px=2),),
            eval_transform=ResizeCenterCrop(crop_fraction=1.0),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            num_threads=2,
        ),
        optimizer=Optimizer(
            rule=AdamW(), learning_rate=2e-3, weight_decay=0.05, schedule=Schedule(warmup=Warmup(steps=20))
        ),
        training=Training(
            batch_size=64,
            num_steps=150,
            eval_batch_size=120,
            log_every=25,
            checkpoint_every=50,
            observe_images=120,
        ),
        mesh=MeshConfig(),
        seed=0,
    )
