"""The numbers of an experiment's summary are those of its arrays."""

import dataclasses
import math

import jax
from flax import nnx

from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.inspect import experiment_summary
from gauss_vit.models import construct
from gauss_vit.models.presets import PRESETS
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh
from tests.models.built import build
from tests.tiny_config import get_config

TINY = get_config()
PLANNED = dataclasses.replace(TINY, mesh=mesh.MeshConfig(fsdp=4, whole_below=0))
HEAD = UPerNetHead(num_classes=3, channels=4, pool_scales=(1,), auxiliary=None)
EIGHT = mesh.make_abstract(PLANNED.mesh, 8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense(Classification):
    """A task whose head normalises over batches."""

    head: UPerNetHead = HEAD


def test_table_counts_every_parameter_once():
    table = experiment_summary.parameter_table(PLANNED, EIGHT)
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(build(PLANNED.network, jax.random.key(0)))))
    assert table[-1].split() == ["total", f"{sum(leaf.size for leaf in leaves):,}"]
    assert len(table) == len(leaves) + 2


def test_table_says_what_is_decayed_and_what_is_split():
    rows = {row.split()[0]: row for row in experiment_summary.parameter_table(PLANNED, EIGHT)}
    sigma = rows["backbone.blocks.attention.bias.gaussian.sigma"].split("  ")
    assert [cell.strip() for cell in sigma if cell.strip()][-2:] == ["no", "-"]
    assert rows["head.linear.kernel"].split()[-4:] == ["yes", "fsdp", "(axis", "0)"]


def test_running_statistics_are_no_parameters():
    planned = dataclasses.replace(PLANNED, task=Dense())
    table = experiment_summary.parameter_table(planned, EIGHT)
    rows = {row.split()[0]: row.split() for row in table}
    assert rows["head.fusion.batch_norm.mean"][1:4] == ["4", "4", "-"]
    network = nnx.merge(*construct.abstract(planned.network))
    learned, followed = (
        sum(leaf.size for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(network, kind))))
        for kind in (nnx.Param, nnx.BatchStat)
    )
    assert table[-2].split() == ["running", "statistics", f"{followed:,}"]
    assert table[-1].split() == ["total", f"{learned:,}"]


def test_memory_of_parameters_is_that_of_one_share():
    alone = experiment_summary.device_memory(PLANNED, mesh.make_abstract(mesh.MeshConfig(), 1))
    shared = experiment_summary.device_memory(PLANNED, EIGHT)
    size = sum(leaf.size for leaf in jax.tree.leaves(construct.abstract(PLANNED.network)[1]))
    assert alone["parameters"] == 4 * size
    assert alone["gradients"] == alone["parameters"]
    assert alone["optimizer state"] >= 2 * alone["parameters"]
    assert shared["parameters"] < alone["parameters"] / 3


def test_memory_of_images_is_that_of_the_bytes_of_three_batches():
    height, width = TINY.model.image_size
    # One is trained on and two are on their way; of each a device has two images.
    assert experiment_summary.device_memory(PLANNED, EIGHT)["images (uint8)"] == 3 * 2 * height * width * 3


def test_parts_have_all_parameters_and_multiply_adds():
    lines = experiment_summary.cost_lines(TINY, mesh.make_abstract(mesh.MeshConfig(), 1))
    total, heading, *parts = (line.split() for line in lines[2:6])
    assert heading == ["part", "parameters", "multiply-adds"]
    assert [name for name, *_ in parts] == ["backbone", "head.linear"]
    size = sum(leaf.size for leaf in jax.tree.leaves(construct.abstract(TINY.network)[1]))
    assert sum(int(number.replace(",", "")) for _, number, *_ in parts) == size
    assert {unit for *_, unit in parts} == {"M"}
    mega = sum(float(number) for _, _, number, _ in parts)
    # Each is rounded to a tenth of a million.
    assert math.isclose(mega, float(total[-1]) / 1e6, abs_tol=0.051 * len(parts))


def test_flops_of_a_step_are_those_of_its_images():
    lines = experiment_summary.cost_lines(TINY, mesh.make_abstract(mesh.MeshConfig(), 1))
    image, step = (float(line.split(": ")[1].split()[index]) for line, index in zip(lines[:2], (2, 0), strict=True))
    assert math.isclose(step, 16 * image, rel_tol=1e-3)


def test_deeper_models_cost_more_of_the_same():
    costs = []
    for depth in (1, 2, 3):
        model = dataclasses.replace(TINY.model, depth=depth)
        lines = experiment_summary.cost_lines(
            dataclasses.replace(TINY, model=model), mesh.make_abstract(mesh.MeshConfig(), 1)
        )
        costs.append(float(lines[0].split()[4]))
    assert math.isclose(costs[2] - costs[1], costs[1] - costs[0], rel_tol=0.02)


def test_large_images_with_a_class_token_go_row_by_row():
    model = dataclasses.replace(TINY.model, image_size=(256, 256), class_token=True)
    assert experiment_summary.kernel_lines(dataclasses.replace(TINY, model=model)) == [
        "attention: rows (1024 patches, 1024 or more)"
    ]


def test_every_kind_of_attention_of_a_swin_transformer_has_a_line():
    swin = PRESETS["swin_tiny_patch4_window7_224"]
    lines = experiment_summary.kernel_lines(dataclasses.replace(TINY, model=swin))
    assert [line.partition(":")[0] for line in lines] == [
        *(f"attention, stage {stage}{shifted}" for stage in (1, 2, 3) for shifted in ("", ", shifted")),
        "attention, stage 4",
    ]
    dropping = dataclasses.replace(TINY.model, attention_dropout=0.1)
    (line,) = experiment_summary.kernel_lines(dataclasses.replace(TINY, model=dropping))
    assert line == "attention: reference (attention weights are dropped)"


def test_columns_are_aligned():
    assert experiment_summary.align([("parameter", "n"), ("x", "12")]) == ["parameter  n", "x          12"]
