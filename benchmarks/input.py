"""Times decoding and augmentation on one core, ours beside plain Pillow, and writes JSON and a table.

python -m benchmarks.input --images=DIR [--core=0] [--rounds=15] [--num_images=64] [--out=F.json]

DIR holds photos; they are resized to 500 x 375 and encoded as JPEG of quality 92 first, which is about ImageNet's size
and weight. Measured is, from bytes in memory to a 224 x 224 array, decoding, a random resized crop (bicubic) and a
random flip. "ours" is what the input pipeline does for an image, with all its checks; "pillow" the least that Pillow
needs for the same: open, convert, crop, resize, transpose, array. Both draw the same boxes and must give the same
pixels. "packed" is ours on the same photos as `gauss-vit data prepare --size=256` stores them, beside Pillow on the
whole ones: other pixels, what packing saves. Every round times the peer and ours one after the other, in turns as to
who is first, pinned to one core; the order of the sides and processor seconds keep a busy machine from favouring one.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import rows
from benchmarks.rows import Row
from gauss_vit.data import image as images
from gauss_vit.data.examples import Example
from gauss_vit.data.image import load_image, open_images
from gauss_vit.data.pipeline import render
from gauss_vit.data.prepare import Plan, Record, resized
from gauss_vit.data.randomness import fold, uniform
from gauss_vit.data.transforms import RandomFlip, RandomResizedCrop

SIZE = (224, 224)
CROP = RandomResizedCrop()
Work = Callable[[bytes, int], np.ndarray]


def ours(encoded: bytes, key: int) -> np.ndarray:
    """An image as the input pipeline makes it."""
    example = Example(image=encoded, label=0, name="photo")
    return render(example, transforms=(CROP, RandomFlip()), image_size=SIZE, key=key)


def pillow(encoded: bytes, key: int) -> np.ndarray:
    """The same image with Pillow alone."""
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    box = images.random_crop_box((image.height, image.width), scale=CROP.scale, ratio=CROP.ratio, key=fold(key, 0))
    image = image.crop(box).resize(SIZE, Image.Resampling.BICUBIC)
    if uniform(fold(key, 1), 0) < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image)


def photos(folder: Path, count: int) -> list[bytes]:
    """Photos of about ImageNet's size, as JPEG files in memory."""
    found = []
    for path in open_images(folder)[:count]:
        file = io.BytesIO()
        load_image(path).resize((500, 375), Image.Resampling.BICUBIC).save(file, format="JPEG", quality=92)
        found.append(file.getvalue())
    return found


def seconds(work: Work, encoded: Sequence[bytes]) -> float:
    """Processor seconds for an image."""
    start = time.process_time()
    for key, file in enumerate(encoded):
        work(file, key)
    return (time.process_time() - start) / len(encoded)


def interleaved(peer: Sequence[bytes], own: Sequence[bytes], *, rounds: int) -> tuple[list[float], list[float]]:
    """Times of Pillow on its files and of ours on its own, each round in the other order than the one before."""
    times: dict[Work, list[float]] = {pillow: [], ours: []}
    for turn in range(rounds):
        sides = ((pillow, peer), (ours, own))
        for work, files in sides if turn % 2 else reversed(sides):
            times[work].append(seconds(work, files))
    return times[pillow], times[ours]


def packed(encoded: Sequence[bytes]) -> list[bytes]:
    """The photos as a data set prepared with --size=256 holds them."""
    records = [Record(image=file, label=0, file_name="photo") for file in encoded]
    plan = Plan(
        name="photos", version="1.0.0", description="", class_names=("photo",), splits={"train": lambda: records}
    )
    return [record.image for record in resized(plan, 256).splits["train"]()]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--num_images", type=int, default=64)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    encoded = photos(options.images, options.num_images)
    for key, file in enumerate(encoded):
        np.testing.assert_array_equal(ours(file, key), pillow(file, key))
    table = []
    for name, own_files in {"whole": encoded, "packed": packed(encoded)}.items():
        peer, own = interleaved(encoded, own_files, rounds=options.rounds)
        rates = [rows.figure([1 / seconds for seconds in side], "images/s") for side in (own, peer)]
        table.append(Row(what=name, ours=rates[0], peer=rates[1], ratio=rows.quotient(peer, own), at_least=1.4))
    rows.show(table)
    mean_bytes = float(np.mean([len(file) for file in encoded]))
    notes = (f"{len(encoded)} photos of {mean_bytes / 1000:.0f} kB; one core, processor seconds.",)
    record = rows.record(table, ratio="ours / Pillow's images a second", peer="Pillow on whole photos", notes=notes)
    rows.write(options.out, record)


if __name__ == "__main__":
    main()
