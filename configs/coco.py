"""Mask R-CNN on a Swin with the Gaussian attention bias, on the 80 classes of COCO 2017.

`configs/coco.py:model=swin_t|swin_s|swin_b,bias=gauss|gauss_per_head|none`; a part that is left out is swin_s and
gauss.

Command:  python -m gauss_vit.main --config=configs/coco.py:model=swin_s,bias=gauss --workdir=W
          --config.data.data_dir=FOLDER --config.start.weights=FILE
Data:     FOLDER/annotations/instances_{train,val}2017.json, FOLDER/train2017 and FOLDER/val2017, as they are published;
          `data check` says what is found. Needs the extra coco.
Weights:  timm's swin_{tiny,small,base}_patch4_window7_224.ms_in1k as .safetensors, or the workdir of a run of ours. The
          detector and the Gaussian are drawn.
Recipe:   AdamW, learning rate 1e-4, weight decay 0.05 but for normalisations and position parameters of the backbone,
          36 epochs in batches of 16 images, a tenth of the rate from epochs 27 and 33 on, 1,000 steps of linear warm-up
          from 0.001 of it, stochastic depth 0.2, flips, short sides of 480 to 800 pixels, half of the images cropped
          before (MMDetection's mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco, which the paper's supplement names by
          its settings: Kim et al., BMVC 2023).
Test:     whole images, resized to fit into 1333 x 800: COCO's average precision of boxes and masks after every epoch.
Choices:  bfloat16, where MMDetection's recipe has float16 with a loss scale. Batches have six sizes, and the square of
          the longest side (docs/detection.md). Regions are read at two samples along each side of a bin, where
          MMDetection takes as many as the bin has cells: `--config.task.head.samples=None`. The Gaussian's initial
          amplitude 2 and sigma 5 are the paper's for ViTs; for windows of 7 it says none.
Time:     not measured; MMDetection trains on 8 GPUs.
Expected: AP of boxes / masks in %: of the paper, swin_s none 48.12 / 43.03 and gauss 48.23 / 43.13; of MMDetection's
          own models, without the Gaussian, swin_t 46.0 / 41.7 and swin_s 48.2 / 43.2.
Measured: not run at scale; configs/drawn_shapes.py has the same detector at a small one.
"""

import dataclasses

from gauss_vit.config import arguments
from gauss_vit.data.config import Data
from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.experiment import Experiment
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.swin import SWIN_BASE, SWIN_SMALL, SWIN_TINY, for_dense_tasks
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import NORMS_AND_POSITIONS, AdamW, Optimizer, Schedule, Step, Warmup
from gauss_vit.weights.start import Start

MODELS = {"swin_s": SWIN_SMALL, "swin_t": SWIN_TINY, "swin_b": SWIN_BASE}
FILES = {
    "swin_s": "swin_small_patch4_window7_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224",
}
BIASES = {"gauss": (Gaussian(),), "gauss_per_head": (Gaussian(per_head=True),), "none": ()}
ARGUMENTS = {"model": tuple(MODELS), "bias": tuple(BIASES)}
STEPS_AN_EPOCH = 7330  # 117,266 images with objects, in batches of 16.


def get_config(argument: str = "") -> Experiment:
    """One model of the family, such as "model=swin_s,bias=none"."""
    chosen = arguments.choose(argument, ARGUMENTS)
    model = for_dense_tasks(MODELS[chosen["model"]], image_size=(800, 1344), stochastic_depth=0.2)
    model = dataclasses.replace(model, compute=Compute(dtype="bfloat16"))
    warmup = Warmup(steps=1000, start=1e-7, is_prefix=False, rises_to="curve")
    return Experiment(
        model=with_terms(model, *BIASES[chosen["bias"]]),
        task=Detection(head=MaskRCNNHead(num_classes=80)),
        data=Data(
            name="coco",
            data_dir="coco",
            targets="objects",
            train_split="train",
            eval_split="validation",
            train_transforms=(RandomFlip(), ResizeOrCrop()),
            eval_transform=ResizeToFit(scale=(1333, 800)),
            buckets=((640, 768), (768, 896), (832, 1024), (1024, 768), (800, 1344), (1344, 800)),
            normalization=Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            num_threads=16,
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=1e-4,
            weight_decay=0.05,
            schedule=Schedule(curve=Step(shares=(27 / 36, 33 / 36)), warmup=warmup),
            no_decay=NORMS_AND_POSITIONS,
        ),
        training=Training(
            batch_size=16,
            num_steps=36 * STEPS_AN_EPOCH,
            eval_batch_size=16,
            log_every=50,
            checkpoint_every=STEPS_AN_EPOCH,
            keep_every=9 * STEPS_AN_EPOCH,
            observe_every=9 * STEPS_AN_EPOCH,
            best=Best(metric="eval/bbox_AP", mode="max"),
        ),
        evaluators=(Evaluator(every=STEPS_AN_EPOCH, measure=CocoMeasure()),),
        mesh=MeshConfig(),
        seed=0,
        start=Start(weights=f"{FILES[chosen['model']]}.safetensors"),
    )
