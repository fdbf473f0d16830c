"""CIFAR-10 at 32x32 with the Gaussian attention bias: the common small data set, for a single accelerator.

`configs/cifar10.py:bias=none` is the same without the Gaussian.

Command:  python -m gauss_vit.main --config=configs/cifar10.py --workdir=W --config.data.data_dir=TFDS
Data:     `tfds build cifar10 --file_format=array_record --data_dir=TFDS`, once: 50,000 and 10,000 images.
Recipe:   that of configs/imagenet.py for 200 epochs in batches of 512, with crops of the padded image in place of
          resized ones and a shorter average; the model is the paper's with 4x4 patches, half as wide.
Time:     not measured.
Expected: nothing published: the paper has no CIFAR.
Measured: not run.
"""

import dataclasses

from gauss_vit.config import arguments
from gauss_vit.data.config import Data
from gauss_vit.data.images.augment import rand_augment
from gauss_vit.data.images.transforms import RandomFlip, RandomShift, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.mixing import Mixing
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import VECTORS, AdamW, Cosine, Optimizer, Schedule, Warmup

BIASES = {"gauss": (Gaussian(sigma=3.0),), "none": ()}  # 5 of 14 patches are 3 of 8.
ARGUMENTS = {"bias": tuple(BIASES)}

EPOCH = 97  # steps: 50,000 images in batches of 512


def get_config(argument: str = "") -> Experiment:
    """The experiment with the Gaussian ("bias=gauss") or without it ("bias=none")."""
    model = with_terms(
        dataclasses.replace(
            RELPOS_SMALL,
            image_size=(32, 32),
            patch_size=(4, 4),
            width=192,
            num_heads=3,
            layer_scale=0.1,
            stochastic_depth=0.1,
        ),
        *BIASES[arguments.choose(argument, ARGUMENTS)["bias"]],
    )
    return Experiment(
        model=model,
        task=Classification(
            head=LinearHead(num_classes=10),
            label_smoothing=0.1,
            mixing=Mixing(mixup=0.2, cutmix=1.0),
            erasing=Erasing(probability=0.25),
        ),
        data=Data(
            name="cifar10",
            train_split="train",
            eval_split="test",
            train_transforms=(RandomShift(max_shift_px=4), RandomFlip(), rand_augment("rand-m9-mstd0.5-inc1")),
            eval_transform=ResizeCenterCrop(crop_fraction=1.0),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            num_threads=8,
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=1e-3,
            weight_decay=0.05,
            schedule=Schedule(curve=Cosine(final=1e-6), warmup=Warmup(steps=10 * EPOCH, start=1e-6)),
            no_decay=VECTORS,
        ),
        training=Training(
            batch_size=512,
            num_steps=200 * EPOCH,
            eval_batch_size=1000,
            log_every=EPOCH,
            checkpoint_every=5 * EPOCH,
            best=Best(metric="eval/top1", mode="max"),
            ema_decay=0.999,
        ),
        evaluators=(Evaluator(every=5 * EPOCH),),
        mesh=MeshConfig(),
        seed=0,
    )
