"""Batches of whole images: each example once, one shape a batch, the same in every process, no pixel lost."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.data import pipeline
from gauss_vit.data.evaluation_plan import by_size, canvas_of, describe, in_order, plan_batches
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import Resize, ResizeCenterCrop
from gauss_vit.data.skips import Skips
from gauss_vit.errors import ConfigError, DataError
from tests.data.mask_samples import MaskSource, mask_source
from tests.data.samples import ListSource, noise_source

TRANSFORM = ResizeToFit(scale=(64, 16))
SIZES = ((20, 30), (30, 20), (20, 30), (40, 60), (7, 100), (20, 30), (1, 1), (20, 30), (66, 66))
SOURCE = mask_source(*SIZES)


def planned(sizes, **changes):
    """Batches of images of these sizes."""
    arguments = {"transform": TRANSFORM, "batch_size": 2, "has_masks": True}
    return by_size(dict(enumerate(sizes)), **(arguments | changes))


def evaluate(source=SOURCE, **changes):
    """All evaluation batches of whole images."""
    arguments = {"transform": TRANSFORM, "image_size": (16, 16), "batch_size": 2, "num_threads": 2}
    return list(pipeline.eval_batches(source, **(arguments | changes)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([(20, 30), (30, 20), (40, 60), (5, 90), (65, 64)]), min_size=1, max_size=40),
    st.integers(1, 5),
    st.none() | st.integers(0, 6),
)
def test_every_example_is_in_one_batch_of_its_size(sizes, batch_size, patience):
    batches = planned(sizes, batch_size=batch_size, patience=patience)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch.indices) <= batch_size and list(batch.indices) == sorted(batch.indices)
        for index in batch.indices:
            assert batch.shape == (TRANSFORM.size_of(sizes[index]), canvas_of(sizes[index]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([(20, 30), (30, 20), (40, 60), (5, 90)]), min_size=1, max_size=40), st.integers(0, 6))
def test_with_patience_no_example_waits_for_more_than_so_many_others(sizes, patience):
    last_seen = -1
    for batch in planned(sizes, batch_size=4, patience=patience):
        last_seen = max(last_seen, *batch.indices)
        assert batch.indices[-1] - batch.indices[0] <= patience
        assert last_seen - batch.indices[0] <= patience


def test_without_patience_a_shape_has_one_batch_that_is_not_full():
    batches = planned([(20, 30), (30, 20)] * 50, batch_size=8)
    assert [len(batch.indices) for batch in batches] == [8] * 12 + [2, 2]
    assert describe(batches) == "100 images in 14 batches of 2 shapes, each compiled once"


def test_a_multiple_bounds_the_number_of_shapes():
    sizes = [(512, 512 + step) for step in range(300)]
    assert len({batch.shape for batch in planned(sizes, transform=ResizeToFit(), has_masks=False)}) == 300
    rounded = planned(sizes, transform=ResizeToFit(multiple=128), has_masks=False)
    assert {batch.image_size for batch in rounded} == {(512, 512), (512, 640), (512, 768), (512, 896)}


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 128), (512, 683)])
def test_a_canvas_is_the_least_multiple_of_64_that_holds_the_mask(size):
    canvas = canvas_of(size)
    assert all(side % 64 == 0 and 0 <= side - own < 64 for side, own in zip(canvas, size, strict=True))


def test_images_of_one_size_are_planned_in_order():
    plan = plan_batches(noise_source(5), transform=ResizeCenterCrop(), image_size=(8, 8), batch_size=2, num_threads=0)
    assert plan == in_order(5, image_size=(8, 8), batch_size=2)
    assert [list(batch.indices) for batch in plan] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("process_count", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [8, 16])
def test_every_pixel_of_every_mask_is_in_one_row_of_one_process(batch_size, process_count):
    shares = [
        evaluate(batch_size=batch_size, process_index=index, process_count=process_count)
        for index in range(process_count)
    ]
    found = []
    for parts in zip(*shares, strict=True):
        assert len({part.image.shape for part in parts}) == len({part.targets.mask.values.shape for part in parts}) == 1
        batch = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
        for row in np.flatnonzero(batch.is_real):
            height, width = batch.targets.size[row]
            canvas = batch.targets.mask.values[row]
            found.append(canvas[:height, :width])
            assert (canvas[height:] == 255).all() and (canvas[:, width:] == 255).all()
        assert not batch.targets.size[~batch.is_real].any()
    expected = sorted(SOURCE[index].targets.mask.values.tobytes() for index in range(len(SOURCE)))
    assert sorted(mask.tobytes() for mask in found) == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_row_is_the_image_of_its_planned_example(batch_size):
    plan = plan_batches(SOURCE, transform=TRANSFORM, image_size=(16, 16), batch_size=batch_size, num_threads=0)
    for batch, entry in zip(evaluate(batch_size=batch_size, plan=plan), plan, strict=True):
        assert batch.image.shape == (batch_size, *entry.image_size, 3)
        for row, index in enumerate(entry.indices):
            (alone,) = evaluate(MaskSource(SOURCE.images[index : index + 1]), batch_size=1)
            np.testing.assert_array_equal(batch.image[row], alone.image[0])
        assert batch.is_real.tolist() == [row < len(entry.indices) for row in range(batch_size)]


@pytest.mark.parametrize("num_threads", [0, 1, 5])
def test_threads_change_nothing(num_threads):
    for batch, expected in zip(evaluate(num_threads=num_threads), evaluate(), strict=True):
        jax.tree.map(np.testing.assert_array_equal, batch, expected)


def test_whole_images_without_masks_share_batches_whatever_their_files():
    source = noise_source(3)
    (batch, last) = evaluate(source)
    assert batch.image.shape == (2, 19, 16, 3) and batch.targets.label.tolist() == [0, 1]
    assert last.is_real.tolist() == [True, False]


def test_a_damaged_image_is_left_out_where_it_may_be():
    source = ListSource((*SOURCE.images[:2], b"damaged", SOURCE.images[0]))
    skips = Skips(limit=None, report=lambda line: None)
    batches = evaluate(source, skips=skips)
    assert skips.indices == {2} and sum(int(batch.is_real.sum()) for batch in batches) == 3
    with pytest.raises(DataError, match="list record 2"):
        evaluate(source)


def test_an_empty_source_and_a_transform_that_cannot_move_masks_are_refused():
    with pytest.raises(DataError, match="holds no images"):
        evaluate(MaskSource(()))
    with pytest.raises(ConfigError, match="ResizeToFit is for images alone"):
        pipeline.train_batches(
            SOURCE,
            transforms=(Resize(), TRANSFORM),
            image_size=(8, 8),
            batch_size=2,
            seed=0,
            start_step=0,
            num_steps=1,
            num_threads=0,
        )
