"""Compares the probabilities of `gauss-vit predict` with those of timm, on photos.

python -m tests.models.predict_parity --data_dir=TFDS --peer-python=PYTHON [NAME[.TAG] ...]

TFDS holds oxford_iiit_pet, whose first four test photos are compared; PYTHON has torch, torchvision and timm 1.0.31.
timm draws the weights of each model, scales its classifier until logits are as sharp as those of trained weights,
writes a safetensors file, prepares the photos with its transform for that name and tag, and computes probabilities.
`gauss-vit predict --json` then reads the file and the photos. Printed are the largest difference of a probability, in
how many photos the five most probable classes are the same in the same order, and the largest probability.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from gauss_vit import main as program
from gauss_vit.assembly.preset_images import IMAGENET
from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.data.sources.splits import open_split

NAMES = (
    "vit_small_patch16_224.augreg_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "vit_base_patch32_224.augreg_in21k",
    "vit_small_patch16_384",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224.fb_in1k",
    "deit_base_patch16_224.fb_in1k",
    "deit3_small_patch16_224.fb_in1k",
    "deit3_small_patch16_224.fb_in22k_ft_in1k",
    "vit_relpos_small_patch16_224",
    "vit_relpos_medium_patch16_cls_224.sw_in1k",
    "vit_srelpos_small_patch16_224.sw_in1k",
    "beit_base_patch16_224.in22k_ft_in22k_in1k",
    "cait_xxs24_224.fb_dist_in1k",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "vit_base_patch16_clip_384.openai_ft_in12k_in1k",
    "vit_base_patch16_clip_quickgelu_224.openai",
    "vit_base_patch16_siglip_224.v2_webli",
    "eva02_small_patch14_336.mim_in22k_ft_in1k",
    "eva02_base_patch14_448.mim_in22k_ft_in1k",
    "vit_small_patch16_dinov3.lvd1689m",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "swin_small_patch4_window7_224",
    "swinv2_small_window8_256.ms_in1k",
)
TOLERANCE = 1e-5
TOP, NUM_PHOTOS = 20, 4
_PETS = Data(
    name="oxford_iiit_pet",
    train_split="train",
    eval_split="test",
    train_transforms=(),
    eval_transform=ResizeCenterCrop(),
    normalization=IMAGENET,
    num_threads=0,
)

_PEER = """
import json, sys
import torch
from tests.torchvision_operators import load_torchvision
load_torchvision()
import timm
from PIL import Image
from safetensors.torch import save_file

name, weights, top, *photos = sys.argv[1:]
torch.manual_seed(0)
model = timm.create_model(name, pretrained=False)
if model.num_classes == 0:
    model.reset_classifier(1000)
model.eval()
with torch.no_grad():
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "gamma" in key:
            tensor.fill_(0.5)  # LayerScale starts near zero: blocks would hardly count.
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    batch = torch.stack([transform(Image.open(photo).convert("RGB")) for photo in photos])
    spread = model(batch).std(dim=1).mean()
    heads = model.get_classifier()
    for head in heads if isinstance(heads, tuple) else (heads,):
        head.weight.mul_(3 / spread)  # Sharp probabilities, as of trained weights: a few classes hold most.
    probabilities = model(batch).softmax(dim=1)
save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, weights)
values, indices = probabilities.topk(int(top))
print(json.dumps([dict(zip(map(str, i.tolist()), v.tolist())) for i, v in zip(indices, values)]))
"""


def write_photos(data_dir: Path, folder: Path) -> list[Path]:
    """Writes the first photos of the pets as JPEG files, byte by byte."""
    source = open_split(dataclasses.replace(_PETS, data_dir=str(data_dir)), "test")
    paths = [folder / f"{index}.jpg" for index in range(NUM_PHOTOS)]
    for index, path in enumerate(paths):
        path.write_bytes(source[index].image)
    return paths


def theirs(python: Path, name: str, weights: Path, photos: list[Path]) -> list[dict[int, float]]:
    """Draws weights into timm's model, writes them, and returns its most probable classes for each photo."""
    command = [str(python), "-c", _PEER, name, str(weights), str(TOP), *map(str, photos)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [{int(index): value for index, value in photo.items()} for photo in json.loads(output.splitlines()[-1])]


def ours(name: str, weights: Path, photos: list[Path]) -> list[dict[int, float]]:
    """Returns what the command line predicts for each photo."""
    output = io.StringIO()
    command = ["predict", f"--model={name}", f"--weights={weights}", f"--topk={TOP}", "--json", *map(str, photos)]
    with contextlib.redirect_stdout(output):
        status = program.main(command)
    if status:
        raise RuntimeError(f"predict ended with status {status}")
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    return [{record["index"]: record["probability"] for record in line["topk"]} for line in lines]


def compared(python: Path, name: str, photos: list[Path]) -> tuple[float, int, float]:
    """Returns the largest difference, the photos whose classes agree in order, and the largest probability."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.safetensors")
        expected = theirs(python, name, weights, photos)
        found = ours(name, weights, photos)
    pairs = list(zip(expected, found, strict=True))
    difference = max(abs(mine.get(index, 0.0) - value) for photo, mine in pairs for index, value in photo.items())
    same = sum(list(photo)[:5] == list(mine)[:5] for photo, mine in pairs)
    return difference, same, max(max(photo.values()) for photo in expected)


def main() -> int:
    """Prints a row for each model; returns 1 if one differs by more than the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    sys.stdout.write(f"{'model':44} {'difference':>10} {'same top 5':>10} {'largest':>8}\n")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(options.data_dir, Path(folder))
        for name in options.names:
            difference, same, largest = compared(options.peer_python, name, photos)
            worst = max(worst, difference)
            sys.stdout.write(f"{name:44} {difference:10.1e} {same:>5} of {len(photos):<2} {largest:8.3f}\n")
            sys.stdout.flush()
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
