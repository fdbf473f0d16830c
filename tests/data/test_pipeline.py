"""Batches are a function of (seed, step): order, resume, threads, shares, padding and failures."""

import dataclasses
import hashlib

import chex
import jax
import numpy as np
import pytest

from gauss_vit.data import pipeline, randomness
from gauss_vit.data.example_stream import AUGMENT_STREAM, ORDER_STREAM, Share, StreamOrder
from gauss_vit.data.images.augment import RandAugment
from gauss_vit.data.images.color import ColorJitter
from gauss_vit.data.images.preprocess import preprocess
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop, RandomShift, Resize, ResizeCenterCrop
from gauss_vit.data.sources.digits import DigitsDataSet
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.errors import ConfigError, DataError
from tests.data.samples import ListSource, noise_source

IMAGE_SIZE = (6, 8)
TRANSFORMS = (RandomResizedCrop(interpolation="random"), RandomShift(max_shift_px=1), RandomFlip())


def train(source, **changes):
    """All training batches of a small run."""
    settings = {
        "transforms": TRANSFORMS,
        "image_size": IMAGE_SIZE,
        "batch_size": 4,
        "seed": 1,
        "start_step": 0,
        "num_steps": 6,
        "num_threads": 2,
    }
    return list(pipeline.train_batches(source, **(settings | changes)))


def evaluate(source, **changes):
    """All evaluation batches."""
    settings = {"transform": ResizeCenterCrop(), "image_size": IMAGE_SIZE, "batch_size": 4, "num_threads": 2}
    return list(pipeline.eval_batches(source, **(settings | changes)))


def indices_of(num_examples, *, seed, step, share):
    """The examples of a process's slots of a step."""
    order = StreamOrder(num_examples=num_examples, seed=seed, image_size=IMAGE_SIZE)
    return tuple(order.slots(step, share).indices.tolist())


def digest(source, *, seed, step, batch_size):
    """That of a step of a run without buckets."""
    order = StreamOrder(num_examples=len(source), seed=seed, image_size=IMAGE_SIZE)
    return pipeline.batch_digest(source, order, seed=seed, step=step, batch_size=batch_size)


def assert_equal(batches, expected):
    """Bit for bit."""
    chex.assert_trees_all_equal(batches, expected, strict=True)


def put_together(shares):
    """The batches of all processes, joined in the order of the processes."""
    return [jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts) for parts in zip(*shares, strict=True)]


def bytes_of(batch):
    """All that a batch holds."""
    return b"".join(leaf.tobytes() for leaf in jax.tree.leaves(batch))


def test_batches_hold_uint8_images_and_int32_labels():
    batch = train(noise_source(9))[0]
    assert (batch.image.dtype, batch.image.shape) == (np.uint8, (4, 6, 8, 3))
    assert (batch.targets.label.dtype, batch.targets.label.shape) == (np.int32, (4,))
    assert (batch.is_real.dtype, batch.is_real.shape) == (np.bool_, (4,))
    assert batch.is_real.all()


def test_every_example_comes_once_an_epoch_across_the_borders_of_batches():
    labels = np.concatenate([batch.targets.label for batch in train(noise_source(7), num_steps=14)])
    epochs = labels.reshape(8, 7)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(7), (8, 1)))
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_batches_hold_the_examples_that_their_order_names():
    batches = train(noise_source(7))
    for step, batch in enumerate(batches):
        expected = indices_of(7, seed=1, step=step, share=Share(batch_size=4))
        assert tuple(batch.targets.label) == expected


def test_order_is_golden():
    indices = [indices_of(10, seed=0, step=step, share=Share(batch_size=4)) for step in range(3)]
    assert indices == [(3, 2, 4, 9), (5, 1, 8, 6), (7, 0, 5, 8)]


@pytest.mark.parametrize("process_index", range(2))
def test_the_order_is_that_of_the_permutation_of_each_epoch(process_index):
    share = Share(batch_size=10, process_index=process_index, process_count=2)
    for step in range(5):
        expected = []
        for position in range(10 * step + 5 * process_index, 10 * step + 5 * process_index + 5):
            epoch, place = divmod(position, 7)
            key = randomness.fold(3, ORDER_STREAM, epoch)
            expected.append(randomness.permute(place, size=7, key=key))
        assert indices_of(7, seed=3, step=step, share=share) == tuple(expected)


@pytest.mark.parametrize("start_step", [1, 3, 5, 6])
def test_resume_at_any_step_gives_the_same_batches(start_step):
    source = noise_source(7)
    assert_equal(train(source, start_step=start_step), train(source)[start_step:])


@pytest.mark.parametrize("num_threads", [0, 1, 5])
def test_batches_do_not_depend_on_the_number_of_threads(num_threads):
    source = noise_source(9)
    assert_equal(train(source, num_threads=num_threads), train(source, num_threads=2))


@pytest.mark.parametrize("process_count", [1, 2, 4, 8])
def test_training_shares_of_processes_join_into_the_whole_batch(process_count):
    source = noise_source(11)
    shares = [
        train(source, batch_size=8, process_index=index, process_count=process_count) for index in range(process_count)
    ]
    assert_equal(put_together(shares), train(source, batch_size=8))


@pytest.mark.parametrize(
    ("process_count", "num_threads"),
    [
        (1, 0),
        (2, 4),
        (4, 1),
        *(pytest.param(*each, marks=pytest.mark.full) for each in [(1, 1), (1, 2), (1, 4), (2, 0), (2, 1), (2, 2)]),
        *(pytest.param(*each, marks=pytest.mark.full) for each in [(4, 0), (4, 2), (4, 4)]),
    ],
)
def test_twenty_steps_have_one_hash_whoever_reads_them_and_wherever_they_restart(process_count, num_threads):
    source = noise_source(11)

    def digest(**changes):
        hashed = hashlib.blake2b()
        for batch in put_together(
            [
                train(source, batch_size=8, process_index=index, num_steps=11, **changes)
                + train(source, batch_size=8, process_index=index, start_step=11, num_steps=20, **changes)
                for index in range(changes["process_count"])
            ]
        ):
            hashed.update(bytes_of(batch))
        return hashed.hexdigest()

    alone = hashlib.blake2b()
    for batch in train(source, batch_size=8, num_steps=20, num_threads=0):
        alone.update(bytes_of(batch))
    assert digest(process_count=process_count, num_threads=num_threads) == alone.hexdigest()


@pytest.mark.parametrize("num_examples", [1, 7, 8, 9, 16])
@pytest.mark.parametrize("process_count", [2, 8])
def test_evaluation_shares_of_processes_join_into_the_whole_batch(process_count, num_examples):
    source = noise_source(num_examples)
    shares = [
        evaluate(source, batch_size=8, process_index=index, process_count=process_count)
        for index in range(process_count)
    ]
    assert_equal(put_together(shares), evaluate(source, batch_size=8))


def test_the_seed_changes_order_and_augmentation():
    source = noise_source(9)
    assert_equal(train(source), train(source))
    first, other = train(source)[0], train(source, seed=2)[0]
    assert tuple(first.targets.label) != tuple(other.targets.label)


def test_an_example_is_augmented_differently_in_every_epoch():
    batches = train(noise_source(1), batch_size=1, num_steps=20)
    assert len({batch.image.tobytes() for batch in batches}) == 20


def test_equal_images_are_augmented_differently_in_one_batch():
    source = ListSource(noise_source(1).images * 8)
    images = train(source, batch_size=8, num_steps=1)[0].image
    assert len({image.tobytes() for image in images}) == 8


def test_a_transform_draws_independently_of_its_neighbours():
    flips = RandomFlip(), RandomFlip()
    batches = train(noise_source(1), transforms=(Resize(), *flips), batch_size=1, num_steps=64, num_threads=0)
    assert {bool(batch.is_flipped[0]) for batch in batches} == {False, True}  # With one draw they would always cancel.


@pytest.mark.parametrize(
    "transforms",
    [
        (Resize(), RandomFlip()),
        (RandomFlip(), RandomResizedCrop(), ColorJitter(brightness=0.4), RandomFlip(probability=0.8)),
        (RandomResizedCrop(resampler="simd"), RandomFlip(), RandomShift(max_shift_px=2)),
        (RandomResizedCrop(), RandomFlip(), RandAugment(), RandomFlip()),
    ],
    ids=["crop", "jitter", "shift", "augment"],
)
def test_a_batch_is_what_render_makes_but_for_the_flips_that_it_names(transforms):
    source = noise_source(7)
    for step, batch in enumerate(train(source, transforms=transforms)):
        for slot, index in enumerate(batch.targets.label.tolist()):
            key = randomness.fold(1, AUGMENT_STREAM, (4 * step + slot) // 7, index)
            expected = preprocess(source[index], transforms=transforms, image_size=IMAGE_SIZE, key=key).pixels
            pixels = batch.image[slot, :, ::-1] if batch.is_flipped[slot] else batch.image[slot]
            np.testing.assert_array_equal(pixels, expected)


def test_flips_come_with_their_probability_whatever_the_label():
    source = noise_source(8)
    transforms = (Resize(), RandomFlip(probability=0.3))
    batches = train(source, transforms=transforms, batch_size=8, num_steps=100, num_threads=0)
    shares = [np.mean([batch.is_flipped[batch.targets.label == label] for batch in batches]) for label in range(8)]
    assert max(abs(share - 0.3) for share in shares) < 5 * np.sqrt(0.3 * 0.7 / 100)
    assert len({round(share, 6) for share in shares}) > 1


def test_batches_without_a_random_flip_name_none():
    for batches in (train(noise_source(4), transforms=(Resize(),)), evaluate(noise_source(4))):
        assert all(batch.is_flipped is None for batch in batches)


def test_evaluation_leaves_no_flip_to_the_device():
    (batch,) = evaluate(noise_source(4), transform=RandomFlip(probability=1.0), image_size=(12, 10))
    (unflipped,) = evaluate(noise_source(4), transform=RandomFlip(probability=0.0), image_size=(12, 10))
    assert batch.is_flipped is None
    np.testing.assert_array_equal(batch.image, unflipped.image[:, :, ::-1])


@pytest.mark.parametrize("num_examples", range(1, 10))
@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_evaluation_sees_every_example_once_and_in_order(num_examples, batch_size):
    batches = evaluate(noise_source(num_examples), batch_size=batch_size, num_threads=0)
    real = np.concatenate([batch.targets.label[batch.is_real] for batch in batches])
    assert len(batches) == -(-num_examples // batch_size)
    assert all(batch.image.shape[0] == batch_size for batch in batches)
    np.testing.assert_array_equal(real, np.arange(num_examples))


def test_padding_is_black_and_comes_last():
    last = evaluate(noise_source(5))[-1]
    np.testing.assert_array_equal(last.is_real, [True, False, False, False])
    assert not last.image[1:].any()
    assert not last.targets.label[1:].any()


@pytest.mark.parametrize("num_threads", [0, 3])
@pytest.mark.parametrize("damaged", [0, 4, 8])
def test_a_truncated_image_is_an_error_that_names_the_record(damaged, num_threads):
    images = list(noise_source(9).images)
    images[damaged] = images[damaged][:100]
    source = ListSource(tuple(images))
    for run in (train, evaluate):
        with pytest.raises(DataError, match=f"list record {damaged}: .*truncated") as caught:
            run(source, num_threads=num_threads)
        assert caught.value.code == "DATA-DECODE"


def test_batches_before_a_damaged_image_are_still_given():
    images = (*noise_source(8).images, b"not an image")
    batches = pipeline.eval_batches(
        ListSource(images), transform=ResizeCenterCrop(), image_size=IMAGE_SIZE, batch_size=4, num_threads=2
    )
    assert [next(batches).targets.label.tolist() for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(DataError, match="record 8"):
        next(batches)


def test_targets_of_any_structure_are_batched():
    @dataclasses.dataclass(frozen=True)
    class Depths(ListSource):
        @property
        def padding_targets(self):
            return {"depth": np.zeros((2, 3), np.float32), "index": np.int16(0)}

        def __getitem__(self, index):
            targets = {"depth": np.full((2, 3), index / 4, np.float32), "index": np.int16(index)}
            return dataclasses.replace(super().__getitem__(index), targets=targets)

    batch, last = evaluate(Depths(noise_source(5).images))
    chex.assert_trees_all_equal(
        batch.targets,
        {
            "depth": np.tile(np.arange(4, dtype=np.float32)[:, None, None] / 4, (1, 2, 3)),
            "index": np.arange(4, dtype=np.int16),
        },
    )
    np.testing.assert_array_equal(last.targets["index"], [4, 0, 0, 0])


def test_an_image_that_cannot_be_transformed_names_the_record():
    class Refusing:
        def __call__(self, image, *, size, key):
            raise ValueError("no room")

    with pytest.raises(DataError, match="list record 0: no room"):
        evaluate(noise_source(1), transform=Refusing())


def test_transforms_that_miss_the_image_size_are_an_error():
    with pytest.raises(ConfigError, match=r"made 12 x 10 px of list record \d, not \(6, 8\).*Resize"):
        train(noise_source(4), transforms=(RandomFlip(),))


def test_fewer_examples_than_a_batch_are_an_error():
    with pytest.raises(DataError, match="the 3 images of the training split do not fill a batch of 4") as caught:
        train(noise_source(3))
    assert caught.value.code == "DATA-SMALL"


def test_as_many_examples_as_a_batch_are_enough():
    assert sorted(train(noise_source(4))[0].targets.label.tolist()) == [0, 1, 2, 3]


def test_an_empty_evaluation_is_an_error():
    with pytest.raises(DataError, match="holds no images") as caught:
        evaluate(noise_source(0))
    assert caught.value.code == "DATA-EMPTY"


@pytest.mark.parametrize(
    ("batch_size", "process_index", "process_count"), [(6, 0, 4), (0, 0, 1), (4, 2, 2), (4, -1, 2)]
)
def test_unequal_shares_are_refused(batch_size, process_index, process_count):
    with pytest.raises(ConfigError):
        Share(batch_size=batch_size, process_index=process_index, process_count=process_count)


def test_an_uneven_batch_names_the_nearest_even_one():
    with pytest.raises(ConfigError, match="choose a multiple such as 8"):
        Share(batch_size=7, process_count=4)


def test_the_digest_depends_on_source_seed_step_and_batch_size():
    nine, ten = noise_source(9), noise_source(10)
    variants = [
        digest(nine, seed=0, step=0, batch_size=4),
        digest(ten, seed=0, step=0, batch_size=4),
        digest(nine, seed=1, step=0, batch_size=4),
        digest(nine, seed=0, step=1, batch_size=4),
        digest(nine, seed=0, step=0, batch_size=5),
    ]
    assert len(set(variants)) == 5


def test_the_digest_is_golden():
    assert digest(noise_source(9), seed=0, step=3, batch_size=4) == "50c250bbdb758baf"


def test_digits_come_through_the_whole_pipeline():
    source = DigitsDataSet().open("test")
    batches = evaluate(source, transform=ResizeCenterCrop(crop_fraction=1.0), image_size=(32, 32), batch_size=128)
    assert sum(int(batch.is_real.sum()) for batch in batches) == 360
    assert np.bincount(np.concatenate([batch.targets.label for batch in batches])[:360]).min() > 20
    assert batches[0].image[0].std() > 50


def test_real_photos_come_through_the_whole_pipeline(real_data):
    source = open_source(str(real_data / "tfds"), "imagenet2012", "train[:24]")
    batches = train(source, image_size=(48, 64), batch_size=8, num_steps=3)
    assert sorted(np.concatenate([batch.targets.label for batch in batches]).tolist()) == sorted(
        source[index].targets.label for index in range(24)
    )
    # Photographs are neither flat nor noise: neighbouring pixels are alike, the whole is not.
    images = np.concatenate([batch.image for batch in batches]).astype(np.float32)
    assert np.abs(np.diff(images, axis=2)).mean() < images.std() / 2
