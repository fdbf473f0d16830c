"""A complete experiment that runs in seconds on a CPU: a config file, and a module for tests to import."""

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomShift, Resize, ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Optimizer, Schedule, Warmup

MODEL = ViTConfig(
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
    position=Position(terms=(Gaussian(sigma=1.0),)),
)
DATA = Data(
    name="digits",
    train_split="train",
    eval_split="test[:50]",
    train_transforms=(Resize(), RandomShift(max_shift_px=1)),
    eval_transform=ResizeCenterCrop(crop_fraction=1.0),
    normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    num_threads=1,
)
TRAINING = Training(batch_size=16, num_steps=4, eval_batch_size=32, log_every=2, checkpoint_every=2, observe_images=0)


FLAG = "--config=tests/tiny_config.py"
"""Config without observers, whose figures take most of the time of a short run."""

NUM_OBSERVED = 8
OBSERVED = f"--config.training.observe_images={NUM_OBSERVED}"
"""Switches them on, at the end of a run."""

ONE_DEVICE = "--config.mesh.data=1"
"""Keeps a run to one device, whose programs compile in less time: for tests of what is not the mesh."""


def get_config() -> Experiment:
    """Two narrow blocks with a Gaussian bias, on images of 2 x 4 patches."""
    return Experiment(
        model=MODEL,
        task=Classification(head=LinearHead(num_classes=10), label_smoothing=0.1),
        data=DATA,
        optimizer=Optimizer(
            rule=AdamW(), learning_rate=1e-3, weight_decay=0.05, schedule=Schedule(warmup=Warmup(steps=1))
        ),
        training=TRAINING,
        evaluators=(Evaluator(every=4),),
        mesh=MeshConfig(),
        seed=0,
    )
