"""Which checkpoints stay."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.train.checkpoint import retention
from gauss_vit.train.checkpoint.retention import Retention

VALUES = st.dictionaries(st.integers(1, 50), st.floats(allow_nan=True, allow_infinity=True), max_size=8)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(1, 4))
def test_newest_and_best_always_stay(values: dict[int, float], num_newest: int):
    best = retention.best_step(values, mode="max")
    removed = retention.steps_to_remove(list(values), Retention(num_newest=num_newest), best=best)
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


def test_what_was_cut_off_is_removed(tmp_path: Path):
    for name in (".removed-5", "10", "15.orbax-checkpoint-tmp", ".removed-20.orbax-checkpoint-tmp"):
        (tmp_path / name / "state").mkdir(parents=True)
    retention.remove(tmp_path / "10")
    leftovers = retention.leftovers(tmp_path)
    assert len(leftovers) == 3
    for leftover in leftovers:
        retention.remove(leftover)
    assert list(tmp_path.iterdir()) == []


def test_multiples_are_kept_for_good():
    rule = Retention(num_newest=2, every=10)
    assert retention.steps_to_remove([5, 10, 15, 20, 25, 30], rule, best=15) == [5]


def test_removal_succeeds_where_one_was_cut_off(tmp_path: Path):
    (tmp_path / ".removed-5" / "state").mkdir(parents=True)
    (tmp_path / "5").mkdir()
    retention.remove(tmp_path / "5")
    assert [path.name for path in tmp_path.iterdir()] == [".removed-5"]


def test_all_that_can_be_deleted_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on NFS, where a file that somebody reads stays under another name, and its folder with it."""
    for name in ("a", "b", "c"):
        (tmp_path / "5" / name).mkdir(parents=True)
        (tmp_path / "5" / name / f"data-{name}").write_bytes(b"1")
    unlink = os.unlink

    def busy(path: str, **named: int) -> None:
        if str(path).endswith("data-b"):
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        unlink(path, **named)

    monkeypatch.setattr(os, "unlink", busy)
    with pytest.raises(OSError, match="busy"):
        retention.remove(tmp_path / "5")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".removed-5", "b", "data-b"]
