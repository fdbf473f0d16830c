"""Your own photos with a few classes of objects, annotated in COCO's format: Mask R-CNN on Swin-T from given weights.

Command:  python -m gauss_vit.main --config=configs/coco_folder.py --config.data.data_dir=FOLDER --workdir=W
          --config.start.weights=FILE
Data:     FOLDER with images and annotations of the splits train and validation in one of the layouts of
          docs/detection.md; `gauss-vit data check` says what is found. The number of classes and the length of an epoch
          are taken from them. Needs the extra coco.
Weights:  of a detector on COCO, MMDetection's as .safetensors or the workdir of a run of ours, or of a classifier on
          ImageNet, timm's swin_tiny_patch4_window7_224.ms_in1k. What is for other classes is drawn.
Recipe:   that of configs/coco.py for half as many epochs, a twentieth of them warm-up, in batches of 8 images of at
          most 800 x 544 pixels.
Time:     not measured; a GPU is needed for more than a few photos.
Expected: it depends on the photos.
Measured: not run on photos of its own; the same steps train configs/drawn_shapes.py.
"""

from gauss_vit.data.config import Data
from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.experiment import Experiment
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.models.presets.swin import SWIN_TINY, for_dense_tasks
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import NORMS_AND_POSITIONS, AdamW, Optimizer, Schedule, Step, Warmup
from gauss_vit.weights.start import Start

SWIN = for_dense_tasks(SWIN_TINY, image_size=(800, 800), stochastic_depth=0.1)


def get_config() -> Experiment:
    """The experiment."""
    return Experiment(
        model=with_terms(SWIN, Gaussian()),
        task=Detection(head=MaskRCNNHead(num_classes=None)),
        data=Data(
            name="coco_folder",
            data_dir="photos",
            targets="objects",
            train_split="train",
            eval_split="validation",
            train_transforms=(
                RandomFlip(),
                ResizeOrCrop(
                    short_sides=(384, 416, 448, 480, 512, 544),
                    longest_side=800,
                    short_sides_before_crop=(400, 500),
                    crop_sides=(320, 480),
                ),
            ),
            eval_transform=ResizeToFit(scale=(800, 544)),
            buckets=((544, 800), (800, 544)),
            normalization=Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            num_threads=4,
            on_error="skip",
        ),
        optimizer=Optimizer(
            rule=AdamW(),
            learning_rate=1e-4,
            weight_decay=0.05,
            schedule=Schedule(
                curve=Step(shares=(27 / 36, 33 / 36)), warmup=Warmup(share=0.05, is_prefix=False, rises_to="curve")
            ),
            no_decay=NORMS_AND_POSITIONS,
        ),
        training=Training(
            batch_size=8,
            num_epochs=18.0,
            eval_batch_size=8,
            log_every=25,
            checkpoint_every=200,
            observe_images=8,
            best=Best(metric="eval/bbox_AP", mode="max"),
        ),
        evaluators=(Evaluator(every=200, measure=CocoMeasure()),),
        mesh=MeshConfig(),
        seed=0,
        start=Start(weights="swin_tiny_patch4_window7_224.safetensors", head="fitting"),
    )
