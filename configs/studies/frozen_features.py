"""Does a prior in image-level training leave patch features from which a linear head segments better?

LocAt's question in small. The backbones are those that configs/studies/priors.py has trained on classes, `none` and
`gauss`, one for each seed. They are frozen; a linear map of the last features of every patch is trained on the
trimaps of pets, on crops of 64 pixels, and tested on the middle of the test images at that size.

Command:  gauss-vit study --config=configs/studies/frozen_features.py --workdir=W --config.data.data_dir=TFDS
          '--config.start.weights=PRIORS/{arm}/seed_{seed}'
Data:     TFDS's oxford_iiit_pet with its trimaps, as for configs/pets_segmentation.py.
Weights:  PRIORS is the folder of the study configs/studies/priors.py.
Recipe:   that of configs/pets_segmentation.py for 200 steps, all of them for the head alone.
Time:     --plan lists the runs: about a minute each on one CPU core.
Expected: LocAt reports gains of several points at full size; 12 test images and five seeds show large ones alone.
Measured: mIoU of none 28.7 %, gauss +2.8 points (0.4 to 5.2), interval over five seeds; all on the same 12 images
          (commit 53c0e5b).
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.data.images.random_scale_crop import RandomScaleCrop
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear_pixels import LinearPixelHead
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train.config import Training
from gauss_vit.train.optim import LearningRateScale
from gauss_vit.weights.start import Start

PRIORS = Path(__file__).resolve().parent / "priors.py"
PETS = Path(__file__).resolve().parents[1] / "pets_segmentation.py"
FROZEN = LearningRateScale(frozen=(r"backbone\..*",))


def get_study() -> Study:
    """Two arms, five seeds."""
    return Study(
        title="Linear segmentation of frozen features",
        arms=(Arm(name="none"), Arm(name="gauss")),
        seeds=(0, 1, 2, 3, 4),
        baseline="none",
        metric="miou",
        hours_per_run=0.02,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    trained, pets = experiments.load(f"{PRIORS}:{arm}"), experiments.load(str(PETS))
    _, *augmentation = pets.data.train_transforms
    return dataclasses.replace(
        pets,
        model=trained.model,
        task=Segmentation(head=LinearPixelHead(num_classes=3)),
        data=dataclasses.replace(
            pets.data,
            train_transforms=(RandomScaleCrop(scale=(128, 64)), *augmentation),
            eval_transform=ResizeCenterCrop(crop_fraction=1.0),
            normalization=trained.data.normalization,
        ),
        optimizer=dataclasses.replace(pets.optimizer, learning_rate_scale=FROZEN),
        training=Training(
            batch_size=16,
            num_steps=200,
            eval_batch_size=12,
            log_every=25,
            checkpoint_every=100,
            observe_images=0,
        ),
        evaluators=(Evaluator(),),
        start=Start(weights=f"runs/priors/{arm}/seed_0", head="fresh"),
    )
