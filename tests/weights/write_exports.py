"""Writes folders and files for timm, transformers, MMSegmentation and MMDetection, and what our models compute.

python -m tests.weights.write_exports FOLDER [CASE ...]    (needs JAX, and neither torch nor timm)

`tests.weights.load_elsewhere`, `tests.weights.load_in_mmseg` and `tests.weights.load_in_mmdet` load them.
"""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gauss_vit.assembly.export import write_weights
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import CheckpointError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.construct import abstract, build
from gauss_vit.models.presets import PRESETS
from gauss_vit.models.swin import SwinConfig
from gauss_vit.ops.detection.masks import paste
from gauss_vit.ops.map_resize import bilinear_resize
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.tasks.task import Task
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import open_weights, write
from tests.heads.mask_rcnn_case import IMAGES, NUM_CLASSES
from tests.heads.mask_rcnn_network import NETWORK
from tests.heads.mask_rcnn_record import tensors

NORMALIZATION = Normalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def small(name: str, **changes):
    """A preset with two blocks, or two stages of two."""
    if name.startswith("swin"):
        return dataclasses.replace(PRESETS[name], depths=(2, 2), num_heads=(3, 6), **changes)
    return dataclasses.replace(PRESETS[name], depth=2, **changes)


SWIN = small("swin_tiny_patch4_window7_224", image_size=(56, 56))
UPERNET = dataclasses.replace(
    with_terms(PRESETS["swin_tiny_patch4_window7_224"], Gaussian()),
    image_size=(75, 53),
    windows="fixed",
    width=48,
    depths=(2, 2, 2, 2),
)
CASES = {
    "timm": {
        "vit": small("vit_small_patch16_224", image_size=(64, 96)),
        "vit_layer_scale": small("vit_small_patch16_224", layer_scale=0.1, mlp_ratio=3.0),
        "vit_mean": small("vit_small_patch16_224", pool="mean", norm="after_pool"),
        "deit_distilled": small("deit_tiny_distilled_patch16_224"),
        "deit3": small("deit3_small_patch16_224", image_size=(96, 96)),
        "relpos": small("vit_relpos_small_patch16_224"),
        "relpos_rpn_gaussian": with_terms(small("vit_relpos_small_patch16_rpn_224"), Gaussian()),
        "relpos_plus": small("vit_relpos_base_patch16_plus_240", image_size=(64, 96)),
        "dinov2": small("vit_small_patch14_dinov2", image_size=(98, 126)),
        "dinov2_registers": small("vit_small_patch14_reg4_dinov2", image_size=(98, 126)),
        "dinov2_swiglu": small("vit_giant_patch14_dinov2", image_size=(98, 98), width=96, num_heads=4),
        "clip": small("vit_base_patch32_clip_224", image_size=(96, 64)),
        "clip_quickgelu": small("vit_base_patch32_clip_quickgelu_224", image_size=(64, 96)),
        "siglip": small("vit_base_patch32_siglip_256", image_size=(64, 96)),
        "eva02_small": small("eva02_small_patch14_224", image_size=(98, 126)),
        "eva02_base": small("eva02_base_patch14_224", width=96, num_heads=4, image_size=(98, 98)),
        "dinov3_qkvb": small("vit_small_patch16_dinov3_qkvb", image_size=(64, 96)),
        "dinov3_plus": small("vit_small_plus_patch16_dinov3", image_size=(96, 64)),
        "siglip_gap": small("vit_base_patch16_siglip_gap_224", image_size=(96, 96)),
        "relpos_gaussian": with_terms(small("vit_relpos_small_patch16_224", image_size=(160, 192)), Gaussian()),
        "srelpos_gaussian": with_terms(small("vit_srelpos_small_patch16_224"), Gaussian()),
        "relpos_cls": small("vit_relpos_medium_patch16_cls_224"),
        "beit_gaussian": with_terms(small("beit_base_patch16_224", image_size=(64, 64)), Gaussian()),
        "cait": small("cait_xxs24_224", image_size=(96, 96)),
        "cait_xxs36": small("cait_xxs36_224", image_size=(64, 96)),
        "swin_gaussian": with_terms(dataclasses.replace(SWIN, image_size=(112, 168)), Gaussian()),
        "swinv2": small("swinv2_small_window8_256", image_size=(64, 64)),
        "swinv2_cr": small("swinv2_cr_tiny_ns_224", image_size=(64, 96), window=(4, 4)),
        "xcit": small("xcit_tiny_12_p16_224", image_size=(64, 96)),
    },
    "hugging_face": {
        "vit": small("vit_small_patch16_224", image_size=(64, 96)),
        "vit_epsilon": small("vit_small_patch16_224", norm_epsilon=1e-3),
        "deit_distilled": small("deit_tiny_distilled_patch16_224"),
        "swin_gaussian": with_terms(SWIN, Gaussian()),
        "upernet_gaussian": UPERNET,
    },
    "mmseg": {"upernet_gaussian": UPERNET},
}


def task_of(config) -> Task:
    """The task of a backbone, with five classes: a UPerNet on one of fixed windows, a classifier on any other."""
    if isinstance(config, SwinConfig) and config.windows == "fixed":
        return Segmentation(head=UPerNetHead(num_classes=5, channels=32))
    return Classification(head=stock_head(config, 5))


def named(name: str, config) -> NamedModel:
    """A model with parameters that all matter, after seven updates, of five classes."""
    task = task_of(config)
    network = NetworkConfig(backbone=config, head=task.head)
    params = nnx.to_pure_dict(nnx.state(build(network, jax.random.key(0))))
    random = np.random.default_rng(0)
    noisy = jax.tree.map(
        lambda leaf: leaf + jnp.float32(0.1) * random.normal(size=leaf.shape).astype(np.float32), params
    )
    return NamedModel(
        name=name,
        config=config,
        task=task,
        params=noisy,
        step=7,
        eval_transform=ResizeCenterCrop(crop_fraction=0.8),
        normalization=NORMALIZATION,
        class_names=("cat", "a dog", "café", "d", "e"),
    )


def write_case(folder: Path, library: str, name: str, config) -> None:
    """Writes a folder, a single file, the code that loads it, and logits of two images, of pixels at the images' size.

    MMSegmentation has no folders.
    """
    model, place = named(name, config), folder / library / name
    model_lines = [] if library == "mmseg" else write_weights(model, library, place / "folder")
    file_lines = write_weights(model, library, place / "file.safetensors")
    images = np.random.default_rng(1).integers(0, 256, (2, *config.image_size, 3), np.uint8)
    network = nnx.merge(abstract(model.network)[0], model.params)
    outputs = jax.jit(network)(NORMALIZATION(jnp.asarray(images)))
    is_dense = isinstance(outputs, DenseLogits)
    logits = jnp.moveaxis(bilinear_resize(outputs.logits, images.shape[1:3]), 3, 1) if is_dense else outputs
    np.savez(place / "reference.npz", images=images, logits=np.asarray(logits))
    (place / "code.json").write_text(json.dumps({"folder": model_lines[1:], "file": file_lines[1:]}))


def write_detector(folder: Path) -> None:
    """Writes a Mask R-CNN with a Gaussian for MMDetection, and the objects that it finds in a drawn image."""
    place, image = folder / "mmdet" / "mask_rcnn_gaussian", IMAGES[0]
    place.mkdir(parents=True, exist_ok=True)
    network = dataclasses.replace(NETWORK, backbone=with_terms(NETWORK.backbone, Gaussian()))
    write(place / "given.safetensors", tensors())
    model = NamedModel(
        name="mask_rcnn",
        config=network.backbone,
        task=Detection(head=network.head),
        params=load_weights(place / "given.safetensors", network).params,
        step=7,
        eval_transform=ResizeCenterCrop(),
        normalization=NORMALIZATION,
        class_names=tuple(f"class {index}" for index in range(NUM_CLASSES)),
    )
    _, *code = write_weights(model, "mmdet", place / "file.safetensors")
    pixels = image.pixels()[None]
    found = jax.device_get(jax.jit(nnx.merge(abstract(network)[0], model.params))(NORMALIZATION(jnp.asarray(pixels))))
    boxes = found.objects.yxyx[0]
    np.savez(
        place / "reference.npz",
        image=pixels[0],
        boxes=boxes,
        scores=found.objects.score[0],
        labels=found.objects.label[0],
        masks=np.stack([paste(mask, box, image.size) for mask, box in zip(found.masks[0], boxes, strict=True)]),
    )
    (place / "code.json").write_text(json.dumps({"file": code}))


def write_pickle_remedy(folder: Path) -> None:
    """Writes the command that the refusal of a pickle advises."""
    path = folder / "it's a model.pth"
    path.write_bytes(b"")
    try:
        open_weights(path)
    except CheckpointError as error:
        (folder / "remedy.json").write_text(
            json.dumps({"pickle": str(path), "command": error.do.partition("run: ")[2]})
        )


def main() -> None:
    """Writes the cases that are named, or all, to the folder of the command line."""
    folder, names = Path(sys.argv[1]).absolute(), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    for library, cases in CASES.items():
        for name, config in cases.items():
            if not names or name in names:
                write_case(folder, library, name, config)
    if not names:
        write_detector(folder)
    write_pickle_remedy(folder)


if __name__ == "__main__":
    main()
