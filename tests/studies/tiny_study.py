"""A study that runs in seconds: two arms, two seeds, eight steps of a tiny model on digits."""

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomShift, Resize, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, Position
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer, Schedule, Warmup

TERMS = {"none": (), "gauss": (Gaussian(sigma=1.0),)}


def get_study() -> Study:
    """The Gaussian and nothing."""
    return Study(
        title="Tiny",
        arms=(Arm(name="none"), Arm(name="with-gauss", argument="gauss")),
        seeds=(0, 5),
        baseline="none",
        hours_per_run=0.005,
    )


def get_config(arm: str = "none") -> Experiment:
    """Two narrow blocks on images of 2 x 4 patches."""
    return Experiment(
        model=ViTConfig(
            image_size=(16, 32),
            patch_size=(8, 8),
            width=16,
            depth=2,
            num_heads=2,
            class_token=False,
            pool="mean",
            norm="after_pool",
            biases="all",
            layer_scale=None,
            start="truncated_normal",
            position=Position(terms=TERMS[arm]),
        ),
        task=Classification(head=LinearHead(num_classes=10), label_smoothing=0.1),
        data=Data(
            name="digits",
            train_split="train",
            eval_split="test[:50]",
            train_transforms=(Resize(), RandomShift(max_shift_px=1)),
            eval_transform=ResizeCenterCrop(crop_fraction=1.0),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            num_threads=1,
        ),
        optimizer=Optimizer(
            rule=AdamW(), learning_rate=3e-3, weight_decay=0.05, schedule=Schedule(warmup=Warmup(steps=1))
        ),
        training=Training(
            batch_size=16, num_steps=8, eval_batch_size=32, log_every=2, checkpoint_every=2, observe_images=4
        ),
        evaluators=(Evaluator(every=4),),
        mesh=MeshConfig(),
        seed=0,
    )
