"""RandAugment and AutoAugment: how often what happens, and timm's notation."""

import collections
import math

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images import augment
from gauss_vit.data.images import image as images
from gauss_vit.data.images.augment import (
    AUTO_AUGMENT,
    RAND_AUGMENT,
    AutoAugment,
    RandAugment,
    drawn_level,
    rand_augment,
)
from gauss_vit.data.images.transforms import MirroredTransform, Transform
from gauss_vit.errors import ConfigError

RAMP = Image.fromarray(np.add.outer(7 * np.arange(20), np.arange(30))[:, :, None].repeat(3, 2).astype(np.uint8))
SIZE = (8, 12)


@pytest.mark.parametrize("transform", [RandAugment(), AutoAugment()], ids=["rand", "auto"])
def test_the_image_is_a_pure_function_of_the_key_and_keeps_its_size(transform):
    first, second = ([images.to_array(transform(RAMP, size=SIZE, key=key)) for key in range(40)] for _ in range(2))
    assert isinstance(transform, Transform)
    np.testing.assert_array_equal(first, second)
    assert first[0].shape == (20, 30, 3)
    assert len({result.tobytes() for result in first}) > 10


@pytest.mark.parametrize("transform", [RandAugment(probability=1.0), AutoAugment()], ids=["rand", "auto"])
@pytest.mark.parametrize("image_size", [(1, 1), (1, 300), (300, 1), (3, 2)])
def test_tiny_and_extreme_images_work(transform, image_size):
    for key in range(60):
        assert transform(Image.new("RGB", image_size), size=SIZE, key=key).size == image_size


@pytest.mark.parametrize("transform", [RandAugment(probability=1.0), AutoAugment()], ids=["rand", "auto"])
def test_a_flip_may_come_after_as_well_as_before(transform):
    assert isinstance(transform, MirroredTransform)
    wrong = [
        np.asarray(images.flip(transform.mirrored(RAMP, size=SIZE, key=key)), int)
        - np.asarray(transform(images.flip(RAMP), size=SIZE, key=key), int)
        for key in range(200)
    ]
    # Bit by bit, but for few images in which rounding moves a value by a level, which the next operation may widen.
    assert np.mean(np.any(wrong, axis=(1, 2, 3))) < 0.03


def test_nothing_is_applied_at_probability_zero():
    assert all(RandAugment(probability=0.0)(RAMP, size=SIZE, key=key) is RAMP for key in range(20))


@pytest.mark.parametrize(("num_operations", "probability"), [(1, 0.5), (2, 0.5), (3, 0.2)])
def test_operations_are_applied_with_their_probability(monkeypatch, num_operations, probability):
    counts = collections.Counter()

    def counted(index):
        return lambda image, stroke: counts.update([index]) or image

    monkeypatch.setattr(augment, "RAND_AUGMENT", [counted(index) for index in range(len(RAND_AUGMENT))])
    transform = RandAugment(num_operations=num_operations, probability=probability)
    for key in range(2000):
        transform(RAMP, size=SIZE, key=key)
    expected = 2000 * num_operations * probability
    assert abs(counts.total() - expected) < 5 * math.sqrt(expected * (1 - probability))
    # Every one of the 15 is as likely: five standard deviations of its binomial count.
    share = expected / len(RAND_AUGMENT)
    assert set(counts) == set(range(len(RAND_AUGMENT)))
    assert all(abs(count - share) < 5 * math.sqrt(share) for count in counts.values())


def test_levels_are_normal_around_the_magnitude_and_cut():
    levels = np.array([drawn_level(9.0, 0.5, key=randomness.mix(key)) for key in range(4000)])
    assert abs(np.median(levels) - 9.0) < 0.05
    # A tenth lies below 9 - 1.2816 / 2, and 2.275 % above 10, where they are cut to 10.
    assert abs(np.mean(levels < 9.0 - 0.6408) - 0.1) < 5 * math.sqrt(0.09 / 4000)
    assert abs(np.mean(levels == 10.0) - 0.02275) < 5 * math.sqrt(0.0222 / 4000)
    assert levels.max() == 10.0


def test_levels_are_uniform_below_the_magnitude_where_timms_notation_says_so():
    transform = rand_augment("rand-m9-mstd101-inc1")
    levels = np.array(
        [drawn_level(transform.magnitude, transform.magnitude_std, key=randomness.mix(key)) for key in range(4000)]
    )
    # Every ninth of 0..9 has the same share: five standard deviations of its binomial count.
    counts, _ = np.histogram(levels, bins=9, range=(0.0, 9.0))
    assert counts.sum() == 4000
    assert np.abs(counts - 4000 / 9).max() < 5 * math.sqrt(4000 / 9)
    assert np.std([drawn_level(5.0, 100.0, key=randomness.mix(key)) for key in range(400)]) > 3.0


def test_a_level_without_spread_is_the_magnitude():
    assert drawn_level(7.0, 0.0, key=3) == 7.0


def test_strokes_take_both_directions_and_both_filters_equally_often(monkeypatch):
    strokes = []
    monkeypatch.setattr(augment, "RAND_AUGMENT", [lambda image, stroke: strokes.append(stroke) or image])
    transform = RandAugment(probability=1.0, num_operations=1, fill=(1, 2, 3))
    for key in range(1000):
        transform(RAMP, size=SIZE, key=key)
    # Five standard deviations around 500 are 421 to 579.
    assert 421 < sum(stroke.is_negative for stroke in strokes) < 579
    assert 421 < sum(stroke.resample == Image.Resampling.BICUBIC for stroke in strokes) < 579
    assert {stroke.fill for stroke in strokes} == {(1, 2, 3)}


def test_a_fixed_filter_is_always_taken(monkeypatch):
    strokes = []
    monkeypatch.setattr(augment, "RAND_AUGMENT", [lambda image, stroke: strokes.append(stroke) or image])
    for key in range(20):
        RandAugment(interpolation="bilinear", probability=1.0)(RAMP, size=SIZE, key=key)
    assert {stroke.resample for stroke in strokes} == {Image.Resampling.BILINEAR}


def test_the_policy_has_25_pairs_and_is_drawn_evenly(monkeypatch):
    assert len(AUTO_AUGMENT) == 25
    assert all(len(pair) == 2 for pair in AUTO_AUGMENT)
    drawn = []

    def seen(index):
        return ((lambda image, stroke: drawn.append((index, stroke.level)) or image, 1.0, float(index % 10)),)

    monkeypatch.setattr(augment, "AUTO_AUGMENT", [seen(index) for index in range(25)])
    for key in range(2500):
        AutoAugment()(RAMP, size=SIZE, key=key)
    counts = collections.Counter(index for index, _ in drawn)
    assert set(counts) == set(range(25))
    assert all(50 < count < 150 for count in counts.values())  # Five standard deviations around 100.
    assert all(level == index % 10 for index, level in drawn)


def test_the_papers_notation_is_the_default():
    assert rand_augment("rand-m9-mstd0.5-inc1") == RandAugment()


def test_what_the_notation_leaves_out_is_as_in_timm():
    assert rand_augment("rand-inc1", fill=(1, 2, 3)) == RandAugment(
        magnitude=10.0, magnitude_std=0.0, num_operations=2, probability=0.5, fill=(1, 2, 3)
    )


def test_every_section_of_the_notation_counts():
    assert rand_augment("rand-n3-m7-p0.25-inc1-mstd1") == RandAugment(
        magnitude=7.0, magnitude_std=1.0, num_operations=3, probability=0.25
    )


@pytest.mark.parametrize("notation", ["", "augmix-m3", "rand-m9", "rand-m9-inc0", "rand-x3-inc1", "rand-m-inc1"])
def test_other_notation_is_refused(notation):
    with pytest.raises(ConfigError):
        rand_augment(notation)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (RandAugment, {"magnitude": 11.0}),
        (RandAugment, {"magnitude_std": -1.0}),
        (RandAugment, {"num_operations": 0}),
        (RandAugment, {"probability": 1.5}),
        (RandAugment, {"fill": (0, 0, 256)}),
        (AutoAugment, {"magnitude_std": float("nan")}),
        (AutoAugment, {"fill": (-1, 0, 0)}),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind, settings):
    with pytest.raises(ConfigError, match=f"{kind.__name__}.{next(iter(settings))} must be"):
        kind(**settings)
