"""The record of a checkpoint: round trips, seals, and refusals that name every difference."""

import dataclasses
import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.train.checkpoint import metadata as records
from gauss_vit.train.checkpoint.metadata import DamagedError, Progress, Record
from gauss_vit.trained_on import UNKNOWN
from tests.train.states import ORIGIN, TRAINED_ON

ARRAYS = {"params": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}, "step": np.int32(4)}
PROGRESS = Progress(step=4, batch_digest="abc", interval=(0.1 + 0.2, 7), metrics={"top1": 1 / 3})


def record_of(arrays: dict) -> Record:
    return Record(
        progress=PROGRESS,
        experiment={"model": {"depth": 2, "grid": [2, 3]}},
        trained_on=TRAINED_ON,
        origin=ORIGIN,
        leaves=records.describe(arrays),
    )


def text_of(record: Record) -> str:
    return json.dumps(records.to_json(record))


def shapes(arrays: dict) -> dict:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arrays)


def test_record_survives_json_to_the_last_bit():
    assert records.from_json(text_of(record_of(ARRAYS))) == record_of(ARRAYS)


def test_record_of_before_it_said_what_it_was_trained_on_is_read():
    content = records.to_json(record_of(ARRAYS))["content"]
    del content["trained_on"]
    text = json.dumps({"content": content, "crc32": zlib.crc32(json.dumps(content, sort_keys=True).encode())})
    assert records.from_json(text) == dataclasses.replace(record_of(ARRAYS), trained_on=UNKNOWN)


def test_leaves_are_described_by_path():
    leaf = records.describe(ARRAYS)["params.kernel"]
    assert (leaf.shape, leaf.dtype) == ((2, 3), "float32")


def test_every_damaged_byte_is_seen():
    text = text_of(record_of(ARRAYS))
    for place in range(0, len(text), 7):
        damaged = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        with pytest.raises(DamagedError):
            records.from_json(damaged)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"content": {}}', '{"content": 1, "crc32": 2}', "\x00" * 9])
def test_other_text_is_damage(text: str):
    with pytest.raises(DamagedError):
        records.from_json(text)


def test_other_format_is_told_apart_from_damage(monkeypatch: pytest.MonkeyPatch):
    text = text_of(record_of(ARRAYS))
    monkeypatch.setattr(records, "FORMAT", 3)
    with pytest.raises(CheckpointError, match=r"format 2; this version reads format 3.*env\.json names") as caught:
        records.from_json(text)
    assert caught.value.code == "CKPT-VERSION"


def test_same_arrays_fit():
    records.check_fits(record_of(ARRAYS), shapes(ARRAYS))


def test_subtree_is_compared_alone():
    records.check_fits(record_of(ARRAYS), shapes({"params": ARRAYS["params"]}), subtree="params.")


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (
            {"kernel": np.ones((2, 4), np.float32), "bias": np.zeros(3, np.float32)},
            "CKPT-SHAPE",
            r"params.kernel is \(2, 3\) in it, \(2, 4\)",
        ),
        (
            {"kernel": np.ones((2, 3), np.float16), "bias": np.zeros(3, np.float32)},
            "CKPT-DTYPE",
            "params.kernel is float32 in it, float16",
        ),
        (
            {"kernel": np.ones((2, 3), np.float32), "scale": np.zeros(3, np.float32)},
            "CKPT-TREE",
            "missing params.scale; unexpected params.bias",
        ),
    ],
)
def test_arrays_of_another_model_are_refused_by_name(params: dict, code: str, message: str):
    with pytest.raises(CheckpointError, match=message) as caught:
        records.check_fits(record_of(ARRAYS), shapes({**ARRAYS, "params": params}))
    assert caught.value.code == code


def test_long_lists_are_cut_with_a_count():
    many = {"params": {f"layer{index:02d}": np.zeros(1, np.float32) for index in range(30)}}
    with pytest.raises(CheckpointError, match="layer19 and 10 more; unexpected"):
        records.check_fits(record_of(ARRAYS), shapes(many))


def test_changed_bit_is_named():
    damaged = {**ARRAYS, "params": {**ARRAYS["params"], "bias": np.asarray([0, 0, 1e-45], np.float32)}}
    with pytest.raises(DamagedError, match=r"fingerprint differs of params.bias$"):
        records.check_bits(record_of(ARRAYS), jax.tree.map(jnp.asarray, damaged))
    records.check_bits(record_of(ARRAYS), jax.tree.map(jnp.asarray, ARRAYS))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named(value: float):
    poisoned = {**ARRAYS, "params": {**ARRAYS["params"], "bias": np.asarray([0, value, 0], np.float32)}}
    with pytest.raises(CheckpointError, match=r"run/10 was saved .* not finite, in params.bias DO: move") as caught:
        records.check_finite(jax.tree.map(jnp.asarray, poisoned), where="run/10")
    assert caught.value.code == "CKPT-NONFINITE"
    records.check_finite(jax.tree.map(jnp.asarray, ARRAYS), where="run/10")


def test_record_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        record_of(ARRAYS).progress = PROGRESS
