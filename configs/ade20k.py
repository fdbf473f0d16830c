"""UPerNet on a Swin or a ViT with the Gaussian attention bias, on the 150 classes of ADE20K.

`configs/ade20k.py:model=swin_t|swin_s|swin_b|vit_s16,bias=gauss|gauss_per_head|none`; a part that is left out is swin_s
and gauss.

Command:  python -m gauss_vit.main --config=configs/ade20k.py:model=swin_s,bias=gauss --workdir=W
          --config.data.data_dir=FOLDER --config.start.weights=FILE
Data:     FOLDER/ADEChallengeData2016/{images,annotations}/{training,validation}, as it is published; `data check` says
          what is found. `--config.data.name=scene_parse150` reads the same images from TFDS.
Weights:  timm's swin_{tiny,small,base}_patch4_window7_224.ms_in1k or vit_relpos_small_patch16_224.sw_in1k as
          .safetensors, or the workdir of a run of ours. The decoder and the Gaussian are drawn.
Recipe:   AdamW, learning rate 6e-5, weight decay 0.01 but for normalisations and position parameters of the backbone,
          160,000 steps of 16 crops of 512 pixels, linear decay to 0 with 1,500 steps of warm-up that multiply it,
          stochastic depth 0.3, random sizes from 0.5 to 2.0, flips and photometric distortion; an auxiliary head of
          weight 0.4 (MMSegmentation's upernet_swin_small_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K, which
          the paper's supplement names by its settings: Kim et al., BMVC 2023, supplement B).
Test:     whole images, resized to fit into 2048 x 512. By windows of 512, and at six scales with flips:
          python -m gauss_vit.main evaluate --workdir=W --config=W/config.json
          --config.task.head.inference.mode=slide --config.task.head.inference.scales=0.5,0.75,1.0,1.25,1.5,1.75
          --config.task.head.inference.flip=True --config.training.eval_batch_size=1
Choices:  bfloat16, where MMSegmentation's recipe computes in float32. The Gaussian's initial amplitude 2 and sigma 5
          are the paper's for ViTs; for windows of 7 it says none.
Time:     not measured; MMSegmentation trains on 8 GPUs.
Expected: mIoU in %, one scale: of the paper, swin_s none / gauss 46.16 / 46.41; of MMSegmentation's own models, without
          the Gaussian, swin_s 47.72; of Swin's repository swin_t 44.51, swin_s 47.64, swin_b 48.13.
Measured: not run at scale; docs/results.md has the same decoder at a small one.
"""

import dataclasses

from gauss_vit.config import arguments
from gauss_vit.data.config import Data
from gauss_vit.data.images.photometric import PhotometricDistortion
from gauss_vit.data.images.random_scale_crop import Pad, RandomScaleCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.experiment import Experiment
from gauss_vit.heads.inference import Inference
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.swin import SWIN_BASE, SWIN_SMALL, SWIN_TINY, for_dense_tasks
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import NORMS_AND_POSITIONS, AdamW, Optimizer, Polynomial, Schedule, Warmup
from gauss_vit.weights.start import Start

MODELS = {
    "swin_s": for_dense_tasks(SWIN_SMALL),
    "swin_t": for_dense_tasks(SWIN_TINY),
    "swin_b": for_dense_tasks(SWIN_BASE),
    "vit_s16": dataclasses.replace(RELPOS_SMALL, image_size=(512, 512), stochastic_depth=0.3),
}
FILES = {
    "swin_s": "swin_small_patch4_window7_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224",
    "vit_s16": "vit_relpos_small_patch16_224",
}
IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CENTRED = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
# Normalised as the images that the weights were trained on; the padding is then nearly zero.
PIXELS = {
    "swin_s": (IMAGENET, Pad()),
    "swin_t": (IMAGENET, Pad()),
    "swin_b": (IMAGENET, Pad()),
    "vit_s16": (CENTRED, Pad(fill=(128, 128, 128))),
}
# A ViT takes images of one size.
INFERENCES = {"swin_s": Inference(), "swin_t": Inference(), "swin_b": Inference(), "vit_s16": Inference(mode="slide")}
BIASES = {"gauss": (Gaussian(),), "gauss_per_head": (Gaussian(per_head=True),), "none": ()}
ARGUMENTS = {"model": tuple(MODELS), "bias": tuple(BIASES)}


def get_config(argument: str = "") -> Experiment:
    """One model of the family, such as "model=swin_s,bias=none"."""
    chosen = arguments.choose(argument, ARGUMENTS)
    model = dataclasses.replace(MODELS[chosen["model"]], compute=Compute(dtype="bfloat16"))
    normalization, pad = PIXELS[chosen["model"]]
    warmup = Warmup(steps=1500, start=6e-11, is_prefix=False, rises_to="curve")
    return Experiment(
        model=with_terms(model, *BIASES[chosen["bias"]]),
        task=Segmentation(head=UPerNetHead(num_classes=150, inference=INFERENCES[chosen["model"]])),
        data=Data(
            name="ade20k",
            targets="masks",
            train_split="train",
            eval_split="validation",
            train_transforms=(RandomScaleCrop(scale=(2048, 512)), RandomFlip(), PhotometricDistortion(), pad),
            eval_transform=ResizeToFit(scale=(2048, 512)),
            normalization=normalization,
            num_threads=16,
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=6e-5,
            weight_decay=0.01,
            schedule=Schedule(curve=Polynomial(), warmup=warmup),
            no_decay=NORMS_AND_POSITIONS,
        ),
        training=Training(
            batch_size=16,
            num_steps=160_000,
            eval_batch_size=16,
            log_every=50,
            checkpoint_every=4000,
            keep_every=16_000,
            observe_every=16_000,
            best=Best(metric="eval/miou", mode="max"),
        ),
        evaluators=(Evaluator(every=16_000),),
        mesh=MeshConfig(),
        seed=0,
        start=Start(weights=f"{FILES[chosen['model']]}.safetensors"),
    )
