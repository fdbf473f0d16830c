"""Your own images, in folders of classes below train and val, from scratch, with the Gaussian attention bias.

`configs/folder.py:bias=none` is the same without the Gaussian, `model=m16|b16` a larger model. For less than about a
hundred thousand images start from trained weights instead: `configs/finetune.py:data=folder`.

Command:  python -m gauss_vit.main --config=configs/folder.py --workdir=W --config.data.data_dir=FOLDER
Data:     FOLDER/train/CLASS/*.jpg and FOLDER/val/CLASS/*.jpg, as they are; `gauss-vit data check` says what is found.
          The number of classes and the length of an epoch are taken from them.
Recipe:   that of configs/imagenet.py with batches of 256, the learning rate made smaller as their root, and 100 epochs
          (`--config.training.num_epochs=N`), of which the first 5 % are the warm-up.
Time:     not measured.
Expected: nothing published: it depends on the images.
Measured: not run.
"""

import dataclasses

from gauss_vit.config import arguments
from gauss_vit.data.config import Data
from gauss_vit.data.images.augment import rand_augment
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets.vit import RELPOS_BASE, RELPOS_MEDIUM, RELPOS_SMALL
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.mixing import Mixing
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import VECTORS, AdamW, Cosine, Optimizer, Schedule, Warmup

MODELS = {"s16": RELPOS_SMALL, "m16": RELPOS_MEDIUM, "b16": RELPOS_BASE}
BIASES = {"gauss": (Gaussian(),), "none": ()}
ARGUMENTS = {"model": tuple(MODELS), "bias": tuple(BIASES)}


def get_config(argument: str = "") -> Experiment:
    """One model, such as "model=s16,bias=gauss"."""
    chosen = arguments.choose(argument, ARGUMENTS)
    model, terms = MODELS[chosen["model"]], BIASES[chosen["bias"]]
    return Experiment(
        model=with_terms(dataclasses.replace(model, stochastic_depth=0.1), *terms),
        task=Classification(
            head=LinearHead(num_classes=None),
            label_smoothing=0.1,
            mixing=Mixing(mixup=0.2, cutmix=1.0),
            erasing=Erasing(probability=0.25),
        ),
        data=Data(
            name="folder",
            train_split="train",
            eval_split="validation",
            train_transforms=(
                RandomResizedCrop(interpolation="random"),
                RandomFlip(),
                rand_augment("rand-m9-mstd0.5-inc1"),
            ),
            eval_transform=ResizeCenterCrop(crop_fraction=0.9),
            normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            num_threads=8,
            on_error="skip",
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=1.7e-4,
            weight_decay=0.05,
            schedule=Schedule(curve=Cosine(final=1e-6), warmup=Warmup(share=0.05, start=1e-6)),
            no_decay=VECTORS,
        ),
        training=Training(
            batch_size=256,
            num_epochs=100.0,
            eval_batch_size=256,
            log_every=100,
            checkpoint_every=1000,
            best=Best(metric="eval/top1", mode="max"),
            ema_decay=0.9998,
        ),
        evaluators=(Evaluator(every=1000),),
        mesh=MeshConfig(),
        seed=0,
    )
