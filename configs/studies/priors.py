"""Spatial priors from scratch on twenty classes of Tiny ImageNet: does any help a small ViT, and by how much?

Everything but the position terms is equal: the model, the data and their order, the optimizer, two epochs. `none` knows
nothing of places, `relative` is the paper's baseline, `gauss` its Gaussian alone, and `both` its method.

Command:  gauss-vit study --config=configs/studies/priors.py --workdir=W --config.data.data_dir=TFDS
Data:     a TFDS data set `tiny_imagenet20` in array_record form, as for configs/tiny_imagenet20.py. CIFAR-10 instead:
          docs/replications_plan.md.
Time:     --plan lists the runs: about three minutes each on two CPU cores.
Expected: nothing published at this size. The paper's gains at full size are 0.03 to 0.16 points (table 2), which five
          seeds of a small model cannot show.
Measured: not run.
"""

import dataclasses

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Alibi, Fire, Gaussian, LookHere, Manhattan, Position, RelativeMlp
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.classification import Classification
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer, Schedule, Warmup

GAUSSIAN, RELATIVE = Gaussian(sigma=3.0), RelativeMlp()  # 5 of 14 patches are 3 of 8.
TERMS = {
    "none": (),
    "relative": (RELATIVE,),
    "gauss": (GAUSSIAN,),
    "both": (RELATIVE, GAUSSIAN),
    "alibi": (Alibi(),),
    "manhattan": (Manhattan(),),
    "look_here": (LookHere(),),
    "fire": (Fire(),),
}


def get_study() -> Study:
    """All arms, five seeds."""
    return Study(
        title="Spatial priors from scratch",
        arms=tuple(Arm(name=name) for name in TERMS),
        seeds=(0, 1, 2, 3, 4),
        baseline="none",
        hours_per_run=0.05,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    return Experiment(
        model=dataclasses.replace(
            RELPOS_SMALL,
            image_size=(64, 64),
            patch_size=(8, 8),
            width=128,
            depth=6,
            num_heads=4,
            layer_scale=None,
            position=Position(terms=TERMS[arm]),
        ),
        task=Classification(head=LinearHead(num_classes=20), label_smoothing=0.1),
        data=Data(
            name="tiny_imagenet20",
            train_split="train",
            eval_split="validation",
            train_transforms=(RandomResizedCrop(scale=(0.35, 1.0)), RandomFlip()),
            eval_transform=ResizeCenterCrop(crop_fraction=1.0),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            num_threads=2,
        ),
        optimizer=Optimizer(
            rule=AdamW(), learning_rate=1e-3, weight_decay=0.05, schedule=Schedule(warmup=Warmup(steps=40))
        ),
        training=Training(
            batch_size=64,
            num_steps=312,
            eval_batch_size=200,
            log_every=39,
            checkpoint_every=78,
            observe_images=100,
        ),
        mesh=MeshConfig(),
        seed=0,
    )
