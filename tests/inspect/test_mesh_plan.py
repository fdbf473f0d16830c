"""A mesh is planned from its text alone; what it splits is counted."""

import dataclasses

import jax
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.inspect import mesh_plan
from gauss_vit.models.presets import PRESETS
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from tests.tiny_config import get_config

TINY = get_config()


@pytest.mark.parametrize(
    ("text", "config", "sizes"),
    [
        (None, {}, (1, 2, 1, 1)),
        ("8", {}, (1, 8, 1, 1)),
        ("8", {"fsdp": 4}, (1, 2, 4, 1)),
        ("data=64,fsdp=4", {}, (1, 64, 4, 1)),
        ("data=4,tensor=2", {"slices": 2}, (2, 4, 1, 2)),
        ("slices=2", {"data": 8}, (2, 8, 1, 1)),
    ],
)
def test_text_is_a_number_of_devices_or_sizes_of_axes(text: str | None, config: dict[str, int], sizes: tuple[int, ...]):
    planned = mesh_plan.planned_mesh(MeshConfig(**config), text, num_present=2)
    assert planned.axis_sizes == sizes


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("dat=4", "no axis 'dat'", "write data"),
        ("x=2", "no axis 'x'", "write a number of devices, or sizes of slices, data, fsdp, tensor"),
        ("x", "the number of devices must be an integer >= 1, got 'x'", "write 8, for example"),
        ("0", "the number of devices must be an integer >= 1, got '0'", "write 8, for example"),
        ("", "the number of devices must be an integer >= 1, got ''", "write 8, for example"),
        ("data=4,,fsdp=2", "no axis ''", "write a number of devices, or sizes of slices, data, fsdp, tensor"),
        ("data=0", "data must be an integer >= 1, got '0'", "write data=4, for example"),
        ("data=-1", "data must be an integer >= 1, got '-1'", "write data=4, for example"),
        ("fsdp", "fsdp must be an integer >= 1, got ''", "write fsdp=4, for example"),
        ("fsdp=4", "does not say how many devices", "add data, as in data=8,fsdp=4"),
    ],
)
def test_other_texts_are_answered(text: str, message: str, remedy: str):
    with pytest.raises(ConfigError, match=message) as caught:
        mesh_plan.planned_mesh(MeshConfig(), text, num_present=1)
    assert caught.value.do == remedy


def test_what_would_stop_the_training_is_said():
    heads = dataclasses.replace(TINY, model=PRESETS["swin_tiny_patch4_window7_224"])
    with pytest.raises(ConfigError, match="heads 3, 6, 12, 24") as caught:
        mesh_plan.check_fits(heads, meshes.make_abstract(MeshConfig(tensor=2), 2))
    assert caught.value.do == "set mesh.tensor=1"
    with pytest.raises(ConfigError, match="batch_size 16 is not divisible"):
        mesh_plan.check_fits(TINY, meshes.make_abstract(MeshConfig(), 3))


def test_arrays_are_counted_by_where_they_are():
    shown = dataclasses.replace(TINY, mesh=MeshConfig(fsdp=2, tensor=2, whole_below=0))
    devices = meshes.make_abstract(shown.mesh, 8)
    lines = mesh_plan.mesh_lines(shown, devices)
    assert lines[:2] == [
        "mesh of 8 devices: slices=1, data=2, fsdp=2, tensor=2",
        "  batch of 16: split over slices x data x fsdp, 4 images on each device",
    ]
    counts = {line.split()[-1] if "over" in line else "whole": int(line.split()[0]) for line in lines[2:]}
    assert counts["tensor"] == 6
    num_arrays = len(jax.tree.leaves(mesh_plan.abstract_model(shown.network.make).params))
    assert counts["fsdp"] + counts["whole"] == num_arrays
