"""Damaged images that a run goes on without: their places count for nothing, and there is a limit."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.data.skips import Skips, indices_in
from gauss_vit.errors import DataError
from tests.data.samples import ListSource, noise_source
from tests.data.test_pipeline import assert_equal, evaluate, train

DAMAGE = {"truncated": lambda image: image[:100], "empty": lambda image: b"", "text": lambda image: b"<html></html>"}


def damaged_source(*places, kind="truncated"):
    """Nine images, some of them damaged."""
    images = list(noise_source(9).images)
    for place in places:
        images[place] = DAMAGE[kind](images[place])
    return ListSource(tuple(images))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_image_leaves_padding_in_its_place_and_nothing_else_changes(kind):
    lines = []
    skipped = train(damaged_source(4, kind=kind), num_steps=9, skips=Skips(limit=1, report=lines.append))
    whole = train(noise_source(9), num_steps=9)
    gone = [batch.targets.label == 4 for batch in whole]
    for batch, other, mask in zip(skipped, whole, gone, strict=True):
        np.testing.assert_array_equal(batch.is_real, ~mask)
        np.testing.assert_array_equal(batch.image[~mask], other.image[~mask])
        np.testing.assert_array_equal(batch.targets.label[~mask], other.targets.label[~mask])
        assert not batch.image[mask].any()
    assert sum(int(mask.sum()) for mask in gone) == 4
    assert len(lines) == 1
    assert lines[0].startswith("skipped image 1 of at most 1, example 4: list record 4: ")


@pytest.mark.parametrize("start_step", [1, 4])
def test_resume_across_a_skipped_image_gives_the_same_batches(start_step):
    source = damaged_source(2, 7)
    settings = {"num_steps": 6}
    whole = train(source, skips=Skips(limit=2, report=print), **settings)
    rest = train(source, skips=Skips(limit=2, report=print), start_step=start_step, num_threads=0, **settings)
    assert_equal(rest, whole[start_step:])


def test_more_damage_than_the_limit_is_an_error():
    with pytest.raises(DataError, match=r"3 damaged images, and data\.max_skipped is 2") as caught:
        train(damaged_source(0, 4, 8), num_steps=9, skips=Skips(limit=2, report=lambda line: None))
    assert caught.value.code == "DATA-SKIPPED"


def test_what_was_reported_can_be_read_back_and_a_torn_line_is_left_out():
    lines = []
    train(damaged_source(0, 4, 8), num_steps=9, skips=Skips(limit=3, report=lines.append))
    text = "\n".join(lines)
    assert indices_in(text) == {0, 4, 8}
    last = text.rindex(", example") + len(", example ")
    assert len(indices_in(text[:last])) == 2
    assert indices_in(text[:last] + text) == {0, 4, 8}


def test_evaluation_never_skips():
    with pytest.raises(DataError, match="list record 4"):
        evaluate(damaged_source(4))


def test_errors_of_the_whole_source_are_never_skipped():
    @dataclasses.dataclass(frozen=True)
    class Gone(ListSource):
        def __getitem__(self, index):
            raise DataError("unmounted", code="DATA-GONE")

    with pytest.raises(DataError, match="unmounted"):
        train(Gone(noise_source(9).images), skips=Skips(limit=100, report=print))


def test_the_limit_of_pixels_is_that_of_the_caller():
    for run in (train, evaluate):
        with pytest.raises(DataError, match="12 x 10 px") as caught:
            run(noise_source(9), max_pixels=119)
        assert caught.value.code == "DATA-BOMB"
        run(noise_source(9), max_pixels=120)
