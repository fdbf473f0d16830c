"""`show`: its numbers are those of the arrays, and it needs neither data nor the devices that it plans for."""

import dataclasses
import json
import math

import jax
import pytest
from flax import nnx

from gauss_vit import experiment
from gauss_vit import main as program
from gauss_vit.commands import show
from gauss_vit.models import construct
from gauss_vit.models.presets import PRESETS
from gauss_vit.train import mesh
from tests.tiny_config import get_config

TINY = get_config()
PLANNED = dataclasses.replace(TINY, mesh=mesh.MeshConfig(fsdp=4))
EIGHT = mesh.make_abstract(PLANNED.mesh, 8)


def test_first_lines_are_the_resolved_config(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py", "--config.seed=5"]) == 0
    config = capsys.readouterr().out.split("\n\n")[0]
    assert experiment.from_json(json.loads(config)) == dataclasses.replace(TINY, seed=5)


def test_more_devices_than_there_are_can_be_planned_for(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py", "--mesh=16"]) == 0
    assert "memory of one of 16 devices (data=16, fsdp=1)" in capsys.readouterr().out


def test_batch_that_does_not_divide_is_refused(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py", "--mesh=3"]) == 2
    assert "training.batch_size 16 is not divisible by the number of devices 3" in capsys.readouterr().err


def test_table_counts_every_parameter_once():
    table = show.parameter_table(PLANNED, EIGHT)
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(construct.build(PLANNED.model, jax.random.key(0)))))
    assert table[-1].split() == ["total", f"{sum(leaf.size for leaf in leaves):,}"]
    assert len(table) == len(leaves) + 2


def test_table_says_what_is_decayed_and_what_is_split():
    rows = {row.split()[0]: row for row in show.parameter_table(PLANNED, EIGHT)}
    sigma = rows["blocks.attention.bias.gaussian.sigma"].split("  ")
    assert [cell.strip() for cell in sigma if cell.strip()][-2:] == ["no", "-"]
    assert rows["head.kernel"].split()[-4:] == ["yes", "fsdp", "(axis", "0)"]


def test_memory_of_parameters_is_that_of_one_share():
    alone = show.device_memory(PLANNED, mesh.make_abstract(mesh.MeshConfig(), 1))
    shared = show.device_memory(PLANNED, EIGHT)
    size = sum(leaf.size for leaf in jax.tree.leaves(show.abstract_params(PLANNED)))
    assert alone["parameters"] == 4 * size
    assert alone["gradients"] == alone["parameters"]
    assert alone["optimizer state"] >= 2 * alone["parameters"]
    assert shared["parameters"] < alone["parameters"] / 3


def test_memory_of_images_is_that_of_the_bytes_of_three_batches():
    height, width = TINY.model.image_size
    # One is trained on and two are on their way; of each a device has two images.
    assert show.device_memory(PLANNED, EIGHT)["images (uint8)"] == 3 * 2 * height * width * 3


def test_flops_of_a_step_are_those_of_its_images():
    lines = show.cost_lines(TINY, mesh.make_abstract(mesh.MeshConfig(), 1))
    image, step = (float(line.split(": ")[1].split()[index]) for line, index in zip(lines[:2], (2, 0), strict=True))
    assert math.isclose(step, 16 * image, rel_tol=1e-3)


def test_deeper_models_cost_more_of_the_same():
    costs = []
    for depth in (1, 2, 3):
        model = dataclasses.replace(TINY.model, depth=depth)
        lines = show.cost_lines(dataclasses.replace(TINY, model=model), mesh.make_abstract(mesh.MeshConfig(), 1))
        costs.append(float(lines[0].split()[4]))
    assert math.isclose(costs[2] - costs[1], costs[1] - costs[0], rel_tol=0.02)


def test_the_kernel_of_attention_is_named(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py"]) == 0
    assert "attention: whole (8 patches, fewer than 1024, on a cpu)" in capsys.readouterr().out


def test_large_images_with_a_class_token_go_row_by_row():
    model = dataclasses.replace(TINY.model, image_size=(256, 256), class_token=True)
    assert show.kernel_lines(dataclasses.replace(TINY, model=model)) == ["attention: rows (1024 patches, 1024 or more)"]


def test_every_kind_of_attention_of_a_swin_transformer_has_a_line():
    swin = PRESETS["swin_tiny_patch4_window7_224"]
    lines = show.kernel_lines(dataclasses.replace(TINY, model=swin))
    assert [line.partition(":")[0] for line in lines] == [
        *(f"attention, stage {stage}{shifted}" for stage in (1, 2, 3) for shifted in ("", ", shifted")),
        "attention, stage 4",
    ]
    dropping = dataclasses.replace(TINY.model, attention_dropout=0.1)
    (line,) = show.kernel_lines(dataclasses.replace(TINY, model=dropping))
    assert line == "attention: reference (attention weights are dropped)"


def test_columns_are_aligned():
    assert show.align([("parameter", "n"), ("x", "12")]) == ["parameter  n", "x          12"]


def test_abstract_parameters_are_the_model_s():
    assert show.abstract_params(TINY) == construct.abstract(TINY.model)[1]
