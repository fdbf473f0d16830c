"""A folder of your own photos, one subfolder a class, on a laptop: a small ViT with the Gaussian at 64 x 64 pixels.

docs/first_hour.md goes on from here. For more photos than some thousands, or larger images, take configs/folder.py; for
fewer than some hundreds start from trained weights (configs/finetune.py).

Command:  python -m gauss_vit.main --config=configs/photos.py --config.data.data_dir=FOLDER --workdir=runs/photos
Data:     FOLDER/CLASS/*.jpg as they are, split at random into 70 % training, 15 % validation and 15 % test images. The
          number of classes and the length of an epoch are taken from them.
Time:     about two minutes on two CPU cores for 209 training images.
Expected: it depends on the photos.
Measured: a validation accuracy of 0.73 (32 of 44) for three classes of Tiny ImageNet, 299 photos, seed 0.
"""

import dataclasses

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer, Schedule, Warmup

SMALL = dataclasses.replace(
    RELPOS_SMALL, image_size=(64, 64), patch_size=(8, 8), width=128, depth=6, num_heads=4, layer_scale=None
)


def get_config() -> Experiment:
    """The experiment."""
    return Experiment(
        model=with_terms(SMALL, Gaussian()),
        task=Classification(head=LinearHead(num_classes=None), label_smoothing=0.1),
        data=Data(
            name="folder",
            data_dir="photos",
            split_protocol="paper",
            train_split="train",
            eval_split="validation",
            train_transforms=(RandomResizedCrop(scale=(0.35, 1.0)), RandomFlip()),
            eval_transform=ResizeCenterCrop(crop_fraction=1.0),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            num_threads=2,
            on_error="skip",
        ),
        optimizer=Optimizer(
            rule=AdamW(), learning_rate=1e-3, weight_decay=0.05, schedule=Schedule(warmup=Warmup(share=0.1))
        ),
        training=Training(
            batch_size=32,
            num_epochs=20.0,
            eval_batch_size=64,
            log_every=20,
            checkpoint_every=100,
            observe_images=16,
            best=Best(metric="eval/top1", mode="max"),
        ),
        evaluators=(Evaluator(every=50),),
        mesh=MeshConfig(),
        seed=0,
    )
