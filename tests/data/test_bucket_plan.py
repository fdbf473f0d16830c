"""Batches of few sizes: every example once an epoch, the same for all processes and from any step, and little waste."""

import collections
import dataclasses
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from gauss_vit.batches import Batch, no_objects
from gauss_vit.data import pipeline, randomness
from gauss_vit.data.bucket_plan import group
from gauss_vit.data.buckets import with_square
from gauss_vit.data.example_stream import Share, augmentation_keys
from gauss_vit.data.examples import Source
from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.data.skips import Skips
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.files import FileSet
from tests.data.sources.coco_samples import IDS, make_coco
from tests.data.sources.test_coco import opened

TRANSFORM = ResizeOrCrop(
    short_sides=(24, 40, 60), longest_side=90, short_sides_before_crop=(30, 40), crop_sides=(25, 35), crop_share=0.5
)
BUCKETS = ((64, 96), (96, 64), (64, 64), (32, 64))
RECIPE_BUCKETS = ((800, 1344), (1344, 800), (768, 896), (640, 768), (832, 1024), (1024, 768))
COCO_SIZES = (
    *((480, 640), (427, 640), (640, 480), (640, 427), (426, 640)),
    *((375, 500), (333, 500), (612, 612), (500, 375)),
)
"""Sizes of images of COCO."""


@dataclasses.dataclass(frozen=True)
class SizedImages:
    """A source of which sizes alone are asked."""

    sizes: tuple[tuple[int, int], ...]
    class_names: tuple[str, ...] = ("a",)
    num_classes: int = 1

    @property
    def padding_targets(self):
        return no_objects()

    def file_set(self):
        return FileSet.of([])

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        raise AssertionError("no image is read")

    def image_size(self, index, *, max_pixels):
        if self.sizes[index] == (0, 0):
            raise DataError("damaged")
        return self.sizes[index]


def drawn_sizes(count: int) -> tuple[tuple[int, int], ...]:
    return tuple(map(tuple, np.random.default_rng(1).integers(20, 120, (count, 2)).tolist()))


def order_of(source: Source, **changes):
    arguments = {
        "transforms": (RandomFlip(), TRANSFORM),
        "image_size": (64, 96),
        "batch_size": 4,
        "seed": 3,
        "buckets": BUCKETS,
    }
    return pipeline.train_order(source, **(arguments | changes))


@pytest.mark.parametrize(("count", "batch_size"), [(40, 4), (37, 4), (5, 4), (4, 4), (7, 1)])
def test_every_example_comes_once_an_epoch(count, batch_size):
    order = order_of(SizedImages(drawn_sizes(count)), batch_size=batch_size)
    share, window = Share(batch_size=batch_size), max(1, count // batch_size)
    seen = collections.Counter()
    for step in range(count * window):
        slots = order.slots(step, share)
        seen.update(zip(slots.epochs.tolist(), slots.indices.tolist(), strict=True))
    assert set(seen.values()) == {1}
    epochs = collections.Counter(epoch for epoch, _ in seen)
    assert epochs == dict.fromkeys(range(window * batch_size), count)


def resized(source: Source, index: int, key: int, *, place: int = 1) -> tuple[int, int]:
    """The size that an example's transform, the one at that place, gives its image."""
    size = source.image_size(index, max_pixels=10**6)
    for move in TRANSFORM.moves(size, size=(64, 96), key=randomness.fold(key, place)):
        size = move.size_after(size)
    return size


def test_a_batch_has_the_smallest_bucket_that_holds_its_images():
    source, found = SizedImages(drawn_sizes(50)), set()
    order = order_of(source)
    for step in range(24):
        slots = order.slots(step, Share(batch_size=4))
        keys = augmentation_keys(slots.epochs, slots.indices, seed=3)
        sizes = [resized(source, index, key) for index, key in zip(slots.indices.tolist(), keys, strict=True)]
        height, width = np.max(sizes, axis=0)
        fits = [bucket for bucket in with_square(BUCKETS) if height <= bucket[0] and width <= bucket[1]]
        assert slots.image_size == fits[0]
        found.add(slots.image_size)
    assert len(found) >= 4


def test_the_order_of_batches_is_drawn_and_depends_on_the_seed():
    source = SizedImages(drawn_sizes(50))

    def sizes(seed: int) -> list[tuple[int, int]]:
        return [order_of(source, seed=seed).slots(step, Share(batch_size=4)).image_size for step in range(12)]

    assert sizes(3) == sizes(3) != sizes(4)
    assert sizes(3) != sorted(sizes(3))


def test_an_image_that_cannot_be_read_waits_for_its_turn():
    sizes = [*drawn_sizes(7), (0, 0)]
    slots = [order_of(SizedImages(tuple(sizes))).slots(step, Share(batch_size=4)) for step in range(2)]
    assert sorted(index for batch in slots for index in batch.indices.tolist()) == list(range(8))


def test_an_image_that_fits_no_bucket_is_named():
    order = order_of(SizedImages(drawn_sizes(8)), buckets=((32, 32),))
    with pytest.raises(ConfigError, match="do not fit batches of 32 x 32 px"):
        order.slots(0, Share(batch_size=4))


def test_the_recipe_wastes_little():
    source = SizedImages(COCO_SIZES * 400)
    order = order_of(source, transforms=(RandomFlip(), ResizeOrCrop()), batch_size=16, buckets=RECIPE_BUCKETS)
    used = padded = 0
    for step in range(200):
        slots = order.slots(step, Share(batch_size=16))
        padded += 16 * slots.image_size[0] * slots.image_size[1]
        for index, key in zip(
            slots.indices.tolist(), augmentation_keys(slots.epochs, slots.indices, seed=3), strict=True
        ):
            *_, last = ResizeOrCrop().steps(source.sizes[index], key=randomness.fold(key, 1))
            used += last.scaled_size[0] * last.scaled_size[1]
    assert 1.1 < padded / used < 1.5


def test_what_is_left_over_is_grouped_from_wide_to_tall():
    buckets = [(4, 4), (2, 8), (8, 2)]
    rows = group(np.asarray([0, 1, 2, 2, 1, 0, 1, 2, 2]), buckets=buckets, batch_size=3)
    assert rows.tolist() == [[1, 4, 6], [2, 3, 7], [0, 5, 8]]


def train(root: Path, **changes) -> list[Batch]:
    """All batches of a small run on the drawn images."""
    settings = {
        "transforms": (RandomFlip(), TRANSFORM),
        "image_size": (64, 96),
        "batch_size": 2,
        "seed": 1,
        "start_step": 0,
        "num_steps": 5,
        "num_threads": 2,
        "buckets": BUCKETS,
    }
    return list(pipeline.train_batches(opened(root), **(settings | changes)))


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_coco(tmp_path_factory.mktemp("coco"))


def test_batches_depend_on_the_step_alone(root: Path):
    batches = train(root)
    chex.assert_trees_all_equal(train(root, start_step=3), batches[3:], strict=True)
    chex.assert_trees_all_equal(train(root, num_threads=0), batches, strict=True)
    shares = [train(root, process_index=index, process_count=2) for index in range(2)]
    joined = [jax.tree.map(lambda *parts: np.concatenate(parts), *pair) for pair in zip(*shares, strict=True)]
    chex.assert_trees_all_equal(joined, batches, strict=True)


def test_shapes_are_those_of_batches(root: Path):
    shapes = pipeline.train_shapes(
        opened(root), transforms=(RandomFlip(), TRANSFORM), image_size=(64, 96), batch_size=2, buckets=BUCKETS
    )
    assert [batch.image.shape[1:3] for batch in shapes] == list(with_square(BUCKETS))
    for batch in train(root):
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), batch) in [
            jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), known) for known in shapes
        ]


def test_images_lie_in_the_corner_and_the_rest_is_zero(root: Path):
    for batch in train(root):
        assert batch.is_flipped is None and batch.is_real.all()
        for image, (height, width) in zip(batch.image, batch.targets.size.tolist(), strict=True):
            assert image[:height, :width].std() > 0
            assert not image[height:].any() and not image[:, width:].any()
        outside = batch.targets.boxes.yxyx[..., 2:] - batch.targets.size[:, None]
        assert outside.max() <= 0


def test_without_buckets_all_batches_have_the_model_size(root: Path):
    batches = train(root, buckets=(), image_size=(90, 90))
    assert {batch.image.shape for batch in batches} == {(2, 90, 90, 3)}
    with pytest.raises(ConfigError, match=r"batches have 64 x 64 px"):
        train(root, buckets=(), image_size=(64, 64))


def test_the_digest_is_of_the_batch_that_comes(root: Path):
    source = opened(root)
    settings = {"transforms": (RandomFlip(), TRANSFORM), "image_size": (64, 96), "batch_size": 2, "seed": 1}
    orders = [pipeline.train_order(source, buckets=buckets, **settings) for buckets in ((), BUCKETS)]
    digests = [
        [pipeline.batch_digest(source, order, seed=1, step=step, batch_size=2) for step in range(6)] for order in orders
    ]
    assert digests[0] != digests[1]
    assert len(set(digests[1])) == 6


def test_a_damaged_image_is_padding(tmp_path: Path):
    root = make_coco(tmp_path)
    (root / "train2017/000000000025.png").write_bytes(b"damaged")
    said: list[str] = []
    batches = train(root, skips=Skips(limit=5, report=said.append), num_steps=3)
    (message,) = said
    assert "000000000025.png" in message
    flat = np.concatenate([batch.targets.image_id[~batch.is_real] for batch in batches])
    assert flat.tolist() == [-1, -1]


def test_whole_images_are_evaluated_in_buckets(root: Path):
    batches = list(
        pipeline.eval_batches(
            opened(root),
            transform=ResizeToFit(scale=(90, 60)),
            image_size=(64, 96),
            batch_size=2,
            num_threads=1,
            buckets=BUCKETS,
        )
    )
    found = {}
    for batch in batches:
        for row in np.flatnonzero(batch.is_real):
            found[int(batch.targets.image_id[row])] = (batch.image.shape[1:3], batch.targets.size[row].tolist())
    assert found == {139: ((64, 96), [60, 80]), 25: ((96, 64), [90, 50]), 7: ((64, 64), [60, 60])}
    assert not any(batch.targets.boxes.yxyx.any() for batch in batches)
    assert set(found) == set(IDS)
