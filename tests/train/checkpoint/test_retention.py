"""Which checkpoints stay."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.train.checkpoint import retention

VALUES = st.dictionaries(st.integers(1, 50), st.floats(allow_nan=True, allow_infinity=True), max_size=8)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(1, 4))
def test_newest_and_best_always_stay(values: dict[int, float], num_newest: int):
    best = retention.best_step(values, mode="max")
    removed = retention.steps_to_remove(list(values), num_newest=num_newest, best=best)
    kept = set(values) - set(removed)
    assert not values or max(values) in kept
    assert best is None or best in kept
    assert len(kept) <= num_newest + 1


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_best_is_finite_and_not_worse_than_any(values: dict[int, float]):
    finite = {step: value for step, value in values.items() if abs(value) < float("inf")}
    best = retention.best_step(values, mode="min")
    assert (best is None) == (not finite)
    assert best is None or finite[best] == min(finite.values())


@pytest.mark.parametrize(("mode", "expected"), [("min", 1), ("max", 2)])
def test_of_equal_values_the_earliest_is_best(mode: str, expected: int):
    assert retention.best_step({3: 0.9, 2: 0.9, 1: 0.5, 4: 0.5}, mode=mode) == expected


def test_link_follows_the_best(tmp_path: Path):
    for step in (10, 20):
        (tmp_path / str(step)).mkdir()
        retention.link_best(tmp_path, step)
        assert (tmp_path / "best").resolve() == tmp_path / str(step)
    retention.link_best(tmp_path, 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "20", "best"]


def test_removal_that_was_cut_off_is_finished(tmp_path: Path):
    (tmp_path / ".removed-5" / "state").mkdir(parents=True)
    (tmp_path / "10").mkdir()
    retention.finish_removals(tmp_path)
    retention.remove(tmp_path / "10")
    assert list(tmp_path.iterdir()) == []


def test_removal_succeeds_where_one_was_cut_off(tmp_path: Path):
    (tmp_path / ".removed-5" / "state").mkdir(parents=True)
    (tmp_path / "5").mkdir()
    retention.remove(tmp_path / "5")
    assert list(tmp_path.iterdir()) == []
