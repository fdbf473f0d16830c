"""Runs that are killed and repeated: the same bits, no finished image again, nothing of another measurement."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from gauss_vit.analysis.protocol import BMVC2023, PRE_NORM
from gauss_vit.errors import ConfigError
from gauss_vit.inspect import erf_run
from gauss_vit.inspect.erf_run import Measurement, digest, measure
from gauss_vit.ops.pixel_normalization import Normalization
from tests.named_models import named_of

NUM_IMAGES = 40


@pytest.fixture(scope="module")
def named():
    return named_of()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 20, 36, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index:02d}.png")
    return tuple(sorted(folder.iterdir()))


def measurement(paths, **changes):
    plain = Measurement(
        tokens=((0, 1),),
        layer=None,
        protocol=BMVC2023,
        images=paths,
        batch_size=8,
        stem="tiny",
        num_groups=7,
        save_every=1,
    )
    return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def whole(named, paths):
    return measure(named, measurement(paths))


def interrupt(monkeypatch, at_batch):
    """Lets the run fail when it comes to a batch."""
    add, calls = erf_run.add, []

    def failing(total, features, batch):
        calls.append(total.num_images)
        if len(calls) == at_batch:
            raise RuntimeError("killed")
        return add(total, features, batch)

    monkeypatch.setattr(erf_run, "add", failing)
    return calls


def test_an_interrupted_run_goes_on_to_the_same_bits_without_finished_images(
    named, paths, whole, tmp_path, monkeypatch
):
    partial = tmp_path / "tiny.partial.npz"
    with monkeypatch.context() as patch:
        interrupt(patch, at_batch=4)
        with pytest.raises(RuntimeError, match="killed"):
            measure(named, measurement(paths), partial=partial)
    calls = interrupt(monkeypatch, at_batch=99)
    resumed = measure(named, measurement(paths), partial=partial)
    assert calls == [24, 32]
    assert resumed.num_images == NUM_IMAGES
    np.testing.assert_array_equal(resumed.values, whole.values)
    np.testing.assert_array_equal(resumed.groups, whole.groups)


@pytest.mark.full
def test_a_run_that_was_killed_by_the_system_goes_on_to_the_same_bits(named, paths, whole, tmp_path):
    partial = tmp_path / "tiny.partial.npz"
    script = f"""
import os, signal
from pathlib import Path
from gauss_vit.inspect import erf_run
from tests.inspect.test_erf_run import measurement, named_of
save, saves = erf_run._save, []
def dying(path, total, *, key):
    save(path, total, key=key)
    saves.append(key)
    if len(saves) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
erf_run._save = dying
paths = tuple(sorted(Path({str(paths[0].parent)!r}).iterdir()))
erf_run.measure(named_of(), measurement(paths), partial=Path({str(partial)!r}))
"""
    process = subprocess.run([sys.executable, "-c", script], check=False)
    assert process.returncode == -signal.SIGKILL
    with np.load(partial) as archive:
        assert archive["num_images"] == 16
    resumed = measure(named, measurement(paths), partial=partial)
    np.testing.assert_array_equal(resumed.values, whole.values)


def test_a_run_that_was_killed_after_its_last_image_measures_nothing_again(named, paths, whole, tmp_path, monkeypatch):
    partial = tmp_path / "tiny.partial.npz"
    measure(named, measurement(paths), partial=partial)
    calls = interrupt(monkeypatch, at_batch=1)
    again = measure(named, measurement(paths), partial=partial)
    assert calls == []
    np.testing.assert_array_equal(again.values, whole.values)


def test_saved_sums_of_another_measurement_are_not_used(named, paths, tmp_path, caplog):
    partial = tmp_path / "tiny.partial.npz"
    measure(named, measurement(paths[:8], protocol=PRE_NORM), partial=partial)
    result = measure(named, measurement(paths[:16]), partial=partial)
    assert result.num_images == 16
    assert "belongs to another measurement; starting from scratch" in caplog.text


def test_a_damaged_file_is_no_reason_to_stop(named, paths, tmp_path, caplog):
    partial = tmp_path / "tiny.partial.npz"
    partial.write_bytes(b"PK no archive")
    assert measure(named, measurement(paths[:8]), partial=partial).num_images == 8
    assert "cannot be read" in caplog.text


def test_the_digest_names_everything_that_the_bits_depend_on(named, paths, tmp_path):
    plain = measurement(paths[:3])
    shifted = jax.tree.map(lambda leaf: leaf, named.params)
    shifted["backbone"]["norm"]["bias"] = shifted["backbone"]["norm"]["bias"].at[0].add(1e-6)
    other_file = tmp_path / "other.png"
    Image.fromarray(np.zeros((20, 36, 3), np.uint8)).save(other_file)
    cases = [
        (named, plain),
        (dataclasses.replace(named, params=shifted), plain),
        (named, measurement(paths[:2])),
        (named, measurement((paths[1], paths[0], paths[2]))),
        (named, measurement((*paths[:2], other_file))),
        (named, measurement(paths[:3], tokens=((1, 1),))),
        (named, measurement(paths[:3], layer=1)),
        (named, measurement(paths[:3], protocol=PRE_NORM)),
        (named, measurement(paths[:3], batch_size=16)),
        (named, measurement(paths[:3], dtype="bfloat16")),
        (named, measurement(paths[:3], num_groups=0)),
        (dataclasses.replace(named, normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(1.0, 0.5, 0.5))), plain),
    ]
    assert len({digest(*case) for case in cases}) == len(cases)
    assert digest(named, plain) == digest(named_of(), measurement(paths[:3], stem="renamed", save_every=5))


def test_no_bar_is_drawn_where_no_one_looks(named, paths, capfd):
    measure(named, measurement(paths[:8]))
    assert "image" not in capfd.readouterr().err


def test_a_bar_is_drawn_on_a_terminal(named, paths, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    measure(named, measurement(paths[:8]))
    assert "tiny" in capsys.readouterr().err


def test_no_images_are_refused(named):
    with pytest.raises(ConfigError, match="no images"):
        measure(named, measurement(()))


def test_a_group_is_made_of_its_own_images(named, paths):
    grouped = measure(named, measurement(paths[:11], num_groups=11, batch_size=4))
    for image, group in zip(paths[:11], grouped.groups, strict=True):
        alone = measure(named, measurement((image,), num_groups=0))
        np.testing.assert_allclose(group, alone.values, rtol=1e-5, atol=1e-9)


def test_a_layer_that_is_missing_is_refused_before_images_are_read(named, paths, monkeypatch):
    monkeypatch.setattr(erf_run, "pixels_of", lambda named, image: pytest.fail("an image was read"))
    with pytest.raises(ConfigError, match="layer 9"):
        measure(named, measurement(paths, layer=9))


def test_a_model_that_passes_nothing_on_is_refused_after_a_batch(named, paths, tmp_path):
    backbone = named.params["backbone"]
    embed = jax.tree.map(np.zeros_like, backbone["patch_embed"])
    dead = dataclasses.replace(named, params={**named.params, "backbone": {**backbone, "patch_embed": embed}})
    with pytest.raises(ConfigError, match="no pixel of 8 images") as raised:
        measure(dead, measurement(paths), partial=tmp_path / "sums.npz")
    assert raised.value.code == "ERF-EMPTY"


def test_no_scratch_file_is_written_without_a_place(named, paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measure(named, measurement(paths[:8]))
    assert list(Path().iterdir()) == []
