"""Times decoding and augmentation on one core, ours beside Pillow, tf.data and torch, and writes JSON and a table.

python -m benchmarks.input --images=DIR [--tf-python=PYTHON] [--torch-python=PYTHON] [--core=0] [--rounds=15]
[--num_images=64] [--quality=98] [--out=F.json]

DIR holds photos; they are resized to 500 x 375 and encoded as JPEG first, which is about ImageNet's size and weight.
What is measured, from bytes in memory to uint8 arrays, is decoding, a random resized crop to 224 x 224 (bicubic,
antialiased) and a random flip. "pillow" is torchvision's recipe and no more: open, convert, crop, resize, transpose,
array, with the boxes drawn before. "ours" is what the input pipeline does for an image, with all its checks, by either
resampler: Pillow's must give the very pixels of the recipe. The rows of batches are whole pipelines: shuffling, drawing
and stacking too, ours by `train_batches`. "packed" is ours on the same photos as `gauss-vit data prepare --size=256`
stores them, beside Pillow on the whole ones: other pixels, what packing saves.

All sides take turns, pinned to one core, every other round in reverse; processor seconds keep a busy machine from
favouring one, and a pass that is not counted comes before each that is. tf.data and torch run in interpreters of their
own; without one its rows are left out.
"""

import argparse
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import rows, timing
from benchmarks.process import Peer
from benchmarks.rows import Row
from benchmarks.timing import Seconds
from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.data.config import TrainTransform
from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images.augment import mean_fill, rand_augment
from gauss_vit.data.images.image import load_image, open_images
from gauss_vit.data.images.preprocess import preprocess
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop
from gauss_vit.data.pipeline import train_batches
from gauss_vit.data.prepare.plans import Plan, Record, resized
from gauss_vit.data.randomness import fold, uniform
from gauss_vit.files import FileSet

SIZE = (224, 224)
EXACT = (RandomResizedCrop(), RandomFlip())
FAST = (RandomResizedCrop(resampler="simd"), RandomFlip())
BILINEAR = (RandomResizedCrop(interpolation="bilinear", resampler="simd"), RandomFlip())
AUGMENTED = (
    RandomResizedCrop(interpolation="random", resampler="simd"),
    RandomFlip(),
    rand_augment("rand-m9-inc1", fill=mean_fill((0.485, 0.456, 0.406))),
)
Sides = dict[str, Callable[[], Seconds]]


@dataclass(frozen=True)
class Photos:
    """Encoded photos in memory as a source of examples."""

    encoded: tuple[bytes, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """One class for all."""
        return ("photo",)

    @property
    def num_classes(self) -> int:
        """One."""
        return 1

    @property
    def padding_targets(self) -> ClassTargets:
        """Class 0."""
        return ClassTargets(label=np.int32(0))

    def file_set(self) -> FileSet:
        """Adds the sizes of the photos."""
        return FileSet.of(("photo", len(photo)) for photo in self.encoded)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.encoded)

    def __getitem__(self, index: int) -> Example:
        """The photo, not decoded."""
        return Example(image=self.encoded[index], targets=ClassTargets(label=np.int32(0)), name=f"photo {index}")

    def __repr__(self) -> str:
        """How many there are."""
        return f"Photos({len(self)})"


def ours(photos: Photos, *, transforms: tuple[TrainTransform, ...]) -> list[np.ndarray]:
    """All images as the input pipeline makes them, one by one."""
    return [
        preprocess(photos[index], transforms=transforms, image_size=SIZE, key=index).pixels
        for index in range(len(photos))
    ]


def our_batches(photos: Photos, *, transforms: tuple[TrainTransform, ...]) -> Iterator[Batch]:
    """All images in a batch, again and again, by the whole input pipeline in the calling thread."""
    return train_batches(
        photos,
        transforms=transforms,
        image_size=SIZE,
        batch_size=len(photos),
        seed=0,
        start_step=0,
        num_steps=1_000_000,
        num_threads=0,
    )


def pillow(photos: Photos, boxes: Sequence[tuple[int, int, int, int]], flips: Sequence[bool]) -> list[np.ndarray]:
    """The same images as `ours` with torchvision's recipe, by Pillow alone."""
    arrays = []
    for encoded, box, is_flipped in zip(photos.encoded, boxes, flips, strict=True):
        image = Image.open(io.BytesIO(encoded)).convert("RGB")
        image = image.crop(box).resize((SIZE[1], SIZE[0]), Image.Resampling.BICUBIC)
        if is_flipped:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        arrays.append(np.asarray(image))
    return arrays


def drawn(photos: Photos) -> tuple[list[tuple[int, int, int, int]], list[bool]]:
    """The boxes and flips that `ours` draws."""
    crop, _ = EXACT
    sizes = [Image.open(io.BytesIO(encoded)).size[::-1] for encoded in photos.encoded]
    boxes = [
        images.random_crop_box(size, scale=crop.scale, ratio=crop.ratio, key=fold(key, 0))
        for key, size in enumerate(sizes)
    ]
    return boxes, [uniform(fold(key, 1), 0) < 0.5 for key in range(len(photos))]


def photos_of(folder: Path, count: int, *, quality: int) -> Photos:
    """Photos of about ImageNet's size, as JPEG files in memory."""
    found = []
    for path in open_images(folder)[:count]:
        file = io.BytesIO()
        load_image(path).resize((500, 375), Image.Resampling.BICUBIC).save(file, format="JPEG", quality=quality)
        found.append(file.getvalue())
    return Photos(tuple(found))


def packed(photos: Photos) -> Photos:
    """The photos as a data set prepared with --size=256 holds them."""
    records = [Record(image=file, label=0, file_name="photo") for file in photos.encoded]
    plan = Plan(
        name="photos", version="1.0.0", description="", class_names=("photo",), splits={"train": lambda: records}
    )
    return Photos(tuple(record.image for record in resized(plan, 256).splits["train"]()))


def own_sides(photos: Photos) -> Sides:
    """Everything that runs in this process.

    Raises:
      AssertionError: our pixels are not the recipe's.
    """
    small, (boxes, flips) = packed(photos), drawn(photos)
    np.testing.assert_array_equal(ours(photos, transforms=EXACT), pillow(photos, boxes, flips))
    images_of = {"exact": (photos, EXACT), "fast": (photos, FAST), "packed": (small, FAST)}
    batches_of = {
        f"{name} batch": our_batches(photos, transforms=transforms)
        for name, transforms in (
            ("exact", EXACT),
            ("fast", FAST),
            ("bilinear", BILINEAR),
            ("augmented", AUGMENTED),
        )
    }
    return {
        "pillow": lambda: timing.settled(lambda: pillow(photos, boxes, flips)),
        **{
            name: lambda source=source, chosen=chosen: timing.settled(lambda: ours(source, transforms=chosen))
            for name, (source, chosen) in images_of.items()
        },
        **{name: lambda stream=stream: timing.settled(lambda: next(stream)) for name, stream in batches_of.items()},
    }


@contextmanager
def peer_sides(
    photos: Photos, *, tf_python: Path | None, torch_python: Path | None
) -> Iterator[tuple[Sides, dict[str, str]]]:
    """Everything that runs in the interpreters that are given, and their versions; they end with the block."""
    asked = (
        (tf_python, "benchmarks.tfdata_peer", {"tf.data": "antialiased", "tf.data plain": "plain"}),
        (torch_python, "benchmarks.dataloader_peer", {"DataLoader": "crop", "DataLoader augmented": "augmented"}),
    )
    with tempfile.TemporaryDirectory() as folder:
        for index, encoded in enumerate(photos.encoded):
            Path(folder, f"{index:05d}.jpg").write_bytes(encoded)
        peers = [(Peer(python, module, folder), kinds) for python, module, kinds in asked if python is not None]
        try:
            sides = {
                name: lambda peer=peer, kind=kind: peer.seconds(kind)
                for peer, kinds in peers
                for name, kind in kinds.items()
            }
            yield sides, {name: version for peer, _ in peers for name, version in peer.versions().items()}
        finally:
            for peer, _ in peers:
                peer.close()


COMPARISONS = (
    ('an image, resampler="simd" / Pillow', "fast", "pillow", 1.4),
    ('an image, resampler="pillow", the same pixels / Pillow', "exact", "pillow", None),
    ("an image packed at 256 px / Pillow on whole ones", "packed", "pillow", None),
    ("batches, simd / tf.data, bicubic with antialiasing", "fast batch", "tf.data", 1.0),
    ("batches, simd, bilinear with antialiasing / tf.data, without", "bilinear batch", "tf.data plain", 1.0),
    ("batches, pillow / tf.data, bicubic with antialiasing", "exact batch", "tf.data", 1.0),
    ("batches, simd / DataLoader, torchvision", "fast batch", "DataLoader", 1.0),
    ("batches, simd / DataLoader, timm, with rand-m9-inc1", "augmented batch", "DataLoader augmented", 1.0),
)
"""What, ours, the peer, and the bar of the ratio."""


def table(measured: dict[str, list[Seconds]], *, num_images: int) -> list[Row]:
    """Makes rows of the seconds of all sides, as images a second of the processor."""
    rates = {
        name: [num_images / seconds for seconds in timing.of_clock(found, "cpu")] for name, found in measured.items()
    }
    found = [
        Row(
            what=what,
            ours=rows.figure(rates[own], "images/s"),
            peer=rows.figure(rates[peer], "images/s"),
            ratio=rows.quotient(rates[own], rates[peer]),
            at_least=bar,
        )
        for what, own, peer, bar in COMPARISONS
        if peer in rates
    ]
    speed = [
        Row(what=f'a core, resampler="{name}"', ours=rows.figure(rates[side], "images/s"), at_least=450)
        for name, side in (("simd", "fast"), ("pillow", "exact"))
    ]
    return speed + found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--tf-python", type=Path)
    parser.add_argument("--torch-python", type=Path)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--num_images", type=int, default=64)
    parser.add_argument("--quality", type=int, default=98)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    photos = photos_of(options.images, options.num_images, quality=options.quality)
    with peer_sides(photos, tf_python=options.tf_python, torch_python=options.torch_python) as (others, versions):
        sides = own_sides(photos) | others
        measured = timing.interleaved(sides, rounds=options.rounds)
    found = table(measured, num_images=len(photos))
    rows.show(found)
    kilobytes = float(np.mean([len(file) for file in photos.encoded])) / 1000
    notes = (f"{len(photos)} photos of {kilobytes:.0f} kB; one core, processor seconds of all threads.",)
    absent = [
        f"Without {name}: {flag} was not given."
        for name, flag, python in (
            ("tf.data", "--tf-python", options.tf_python),
            ("torch", "--torch-python", options.torch_python),
        )
        if python is None
    ]
    record = rows.record(
        found,
        ratio="ours / peer, images a second",
        peer="the peer",
        notes=(*notes, *absent),
        peer_versions=versions,
    )
    rows.write(options.out, record)


if __name__ == "__main__":
    main()
