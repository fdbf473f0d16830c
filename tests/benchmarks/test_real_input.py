"""The benchmark of real input feeds the photos to the step, and judges it by the clock."""

import argparse
import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import real_input
from gauss_vit.experiment import Experiment
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from tests.data.samples import encode

MODEL = dataclasses.replace(RELPOS_SMALL, image_size=(16, 24), patch_size=(8, 8), width=16, depth=1, num_heads=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight photos of one colour each, in two folders; and a text."""
    for index in range(8):
        path = tmp_path / f"class_{index % 2}" / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(np.full((20, 30, 3), 30 * index, np.uint8), "JPEG"))
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def options_of(folder: Path) -> argparse.Namespace:
    return argparse.Namespace(data=folder, batch_size=8, steps=2, depth=1, input_threads=2, threads=1, resampler="simd")


def test_every_photo_of_the_folder_is_fed_once_an_epoch(folder: Path):
    batches = list(real_input.stream(folder, MODEL, batch_size=8, num_threads=0, num_steps=2))
    for batch in batches:
        assert batch.image.shape == (8, *MODEL.image_size, 3)
        assert sorted(batch.image[:, 0, 0, 0].tolist()) == pytest.approx([30 * index for index in range(8)], abs=2)
        assert all(0 <= label < 1000 for label in batch.targets.label)
    assert batches[0].targets.label.tolist() != batches[1].targets.label.tolist()


def test_both_sides_move_the_same_state_by_their_steps(folder: Path, monkeypatch: pytest.MonkeyPatch):
    taken = []

    class Recorded:
        def __init__(self, experiment: Experiment):
            self.batch = "noise"
            self.mesh = meshes.make(MeshConfig(), jax.devices())

        def along(self, batches) -> None:
            taken.append([batch if batch == "noise" else batch.image.shape for batch in batches])

    monkeypatch.setattr(real_input, "Steps", Recorded)
    sides = real_input.cases(MODEL, options_of(folder))
    assert list(sides) == ["synthetic float32", "real float32"]
    for side in sides.values():
        assert side()["wall"] > 0
    photos = (8, *MODEL.image_size, 3)
    # Every run comes after one that is not timed.
    assert taken == [["noise"] * 2] * 2 + [[photos] * 2] * 2


@pytest.mark.parametrize("is_cpu", [True, False])
def test_the_clock_is_judged_and_the_processor_is_not(folder: Path, is_cpu: bool):
    found = {
        "synthetic float32": [{"wall": 1.0, "cpu": 1.0}] * 3,
        "real float32": [{"wall": seconds, "cpu": 1.25} for seconds in (2.0, 1.0, 4.0)],
    }
    by_clock, *by_processor = real_input.compared(found, options_of(folder), is_cpu=is_cpu)
    assert (by_clock.ratio.median, by_clock.at_least) == (0.5, 0.95)
    assert (by_clock.peer.median, by_clock.ours.median) == (16.0, 8.0)
    assert [(row.ratio.median, row.at_least) for row in by_processor] == ([(0.8, None)] if is_cpu else [])


def test_the_notes_say_what_was_read(folder: Path):
    photos = real_input.notes(options_of(folder))[1]
    assert (
        photos.startswith("8 photos of 1 kB")
        and "(resampler simd)" in photos
        and "by 2 threads on the same 1 cores" in photos
    )
