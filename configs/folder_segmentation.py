"""Your own photos, each with a mask of classes, on a laptop: a small Swin with UPerNet and the Gaussian, from scratch.

docs/segmentation.md goes on from here. For many photos, or larger ones, start from ImageNet's weights and take the
recipe of configs/ade20k.py: `--config=configs/ade20k.py:model=swin_t --config.data.name=mask_folder
--config.data.split_protocol=paper --config.data.train_split=train --config.task.head.num_classes=None
--config.training.num_epochs=100 --config.optimizer.schedule.warmup.share=0.01`.

Command:  python -m gauss_vit.main --config=configs/folder_segmentation.py --config.data.data_dir=FOLDER --workdir=W
Data:     FOLDER/images/NAME.jpg and FOLDER/masks/NAME.png, whose pixels are class indices, 255 ignored, and
          FOLDER/classes.txt, which names the classes, one a line. They are split at random into 70 % training, 15 %
          validation and 15 % test images; `gauss-vit data check` says what is found. The number of classes and the
          length of an epoch are taken from them.
Time:     about as long as configs/pets_segmentation.py for 70 training images.
Expected: it depends on the photos.
Measured: a validation mIoU of 0.365 for 70 training photos of pets in three classes (0.178 is all background), seed 0.
"""

import dataclasses

from gauss_vit.data.config import Data
from gauss_vit.data.images.photometric import PhotometricDistortion
from gauss_vit.data.images.random_scale_crop import Pad, RandomScaleCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.experiment import Experiment
from gauss_vit.heads.fcn import FCNHead
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.presets.swin import SWIN_TINY, for_dense_tasks
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import NORMS_AND_POSITIONS, AdamW, Optimizer, Polynomial, Schedule, Warmup

SMALL = for_dense_tasks(
    dataclasses.replace(SWIN_TINY, width=32, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window=(6, 6)),
    image_size=(96, 96),
    stochastic_depth=0.1,
)


def get_config() -> Experiment:
    """The experiment."""
    return Experiment(
        model=with_terms(SMALL, Gaussian(sigma=2.0)),
        task=Segmentation(head=UPerNetHead(num_classes=None, channels=64, auxiliary=FCNHead(channels=32))),
        data=Data(
            name="mask_folder",
            data_dir="photos",
            targets="masks",
            split_protocol="paper",
            train_split="train",
            eval_split="validation",
            train_transforms=(RandomScaleCrop(scale=(192, 96)), RandomFlip(), PhotometricDistortion(), Pad()),
            eval_transform=ResizeToFit(scale=(192, 96), multiple=32),
            normalization=Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            num_threads=2,
            on_error="skip",
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=1e-3,
            weight_decay=0.01,
            schedule=Schedule(curve=Polynomial(), warmup=Warmup(share=0.1, is_prefix=False, rises_to="curve")),
            no_decay=NORMS_AND_POSITIONS,
        ),
        training=Training(
            batch_size=16,
            num_epochs=60.0,
            eval_batch_size=8,
            log_every=25,
            checkpoint_every=100,
            observe_images=8,
            best=Best(metric="eval/miou", mode="max"),
        ),
        evaluators=(Evaluator(every=100),),
        mesh=MeshConfig(),
        seed=0,
    )
