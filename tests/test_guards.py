"""What makes the program fast, read off the compiled program: no clock, so that it holds on a busy machine."""

import dataclasses
import functools
import math
import re

import jax
import jax.numpy as jnp
import pytest

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.data import pipeline
from gauss_vit.data.images.transforms import RandomResizedCrop
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import offset_shape
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import term
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.optim.optimizer import make
from gauss_vit.train.state import TrainState, abstract_model, abstract_state
from gauss_vit.train.step import Forward, make_train_step
from tests.data.samples import noise_source
from tests.networks import classifier

pytestmark = pytest.mark.optimized

MODEL = dataclasses.replace(
    RELPOS_SMALL,
    image_size=(16, 24),
    patch_size=(8, 8),
    width=32,
    depth=2,
    num_heads=2,
    position=Position(terms=(RelativeTable(), Gaussian())),
)
BFLOAT16 = Compute(dtype="bfloat16")
OPTIMIZER = Optimizer(rule=AdamW(), learning_rate=0.01, weight_decay=0.05, schedule=Schedule(curve=Constant()))
BATCH = 4
PRODUCT = re.compile(r"stablehlo\.dot_general .* : \(tensor<(\S+)>, tensor<(\S+)>\)")


SWIN = SwinConfig(
    image_size=(16, 32),
    width=16,
    depths=(2, 1),
    num_heads=(2, 2),
    window=(2, 4),
    position=MODEL.position,
    biases="all",
    similarity="product",
    norm="before",
    compute=BFLOAT16,
)
CLASS_TOKEN = dataclasses.replace(MODEL, class_token=True, pool="token", norm="after_pool", compute=BFLOAT16)
HALF = dataclasses.replace(MODEL, compute=BFLOAT16)
MIXED_HEADS = dataclasses.replace(HALF, mixes_heads=True)


@functools.cache
def lowered_step(config: ViTConfig | SwinConfig, platform: str = "cpu") -> tuple[jax.stages.Lowered, TrainState]:
    """Traces a train step on one device, and writes it for a platform."""
    mesh = meshes.make(MeshConfig(data=1), jax.devices())
    model = abstract_model(classifier(config).make)
    transform = make(OPTIMIZER, model.params, 10)
    state = meshes.with_shardings(mesh, abstract_state(model.params, transform))
    normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    forward = Forward(graph=model.graph, task=Classification(), normalization=normalization)
    batch = Batch(
        image=jax.ShapeDtypeStruct((BATCH, *config.image_size, 3), jnp.uint8),
        is_real=jax.ShapeDtypeStruct((BATCH,), jnp.bool),
        targets=ClassTargets(label=jax.ShapeDtypeStruct((BATCH,), jnp.int32)),
    )
    traced = make_train_step(forward, transform, mesh=mesh, seed=0, state=state).trace(state, batch)
    return traced.lower(lowering_platforms=(platform,)), state


def products(config: ViTConfig) -> list[tuple[str, str]]:
    """Operands of every matrix product in the traced step, such as "8x6xbf16"."""
    return PRODUCT.findall(lowered_step(config)[0].as_text())


@pytest.mark.parametrize(
    "config", [HALF, CLASS_TOKEN, MIXED_HEADS, SWIN], ids=["relative", "class_token", "mixed_heads", "swin"]
)
@pytest.mark.parametrize(("platform", "lowering"), [("gpu", "cuda"), ("tpu", "tpu")])
def test_no_product_has_a_float32_operand_on_accelerators(config, platform, lowering):
    config = dataclasses.replace(config, compute=Compute(dtype="bfloat16", platform=platform))
    text = lowered_step(config, lowering)[0].as_text()
    found = PRODUCT.findall(text)
    assert found
    assert {operand.rpartition("x")[2] for pair in found for operand in pair} == {"bf16"}
    # Products that sum over the batch give parameters their gradients; the others write what the next one reads.
    assert "stablehlo.while" not in text


def test_cudnn_computes_every_block_and_no_logits_are_kept(monkeypatch):
    calls = []

    @jax.custom_vjp
    def kept_by_cudnn(query, bias):
        return query

    def forward(query, bias):
        return query, bias

    def backward(bias, cotangent):
        return cotangent, jnp.zeros_like(bias)

    kept_by_cudnn.defvjp(forward, backward)

    def stand_in(query, key, value, *, bias, scale, implementation):
        calls.append((implementation, query.shape, bias.shape))
        return kept_by_cudnn(query + key + value, bias)

    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    config = dataclasses.replace(CLASS_TOKEN, compute=Compute(dtype="bfloat16", kernel="cudnn", platform="gpu"))
    text = lowered_step.__wrapped__(config, "cuda")[0].as_text()
    # Six patches and a class token make seven, padded to eight; two blocks, one bias for the batch in each.
    assert calls == [("cudnn", (BATCH, 8, 2, 16), (1, 2, 8, 8))] * 2
    assert "tensor<1x2x8x8xbf16>" in text
    assert f"tensor<{BATCH}x2x8x8x" not in text
    assert f"tensor<{BATCH * 2}x8x8x" not in text


def test_exponentials_are_of_logits_and_of_the_lattice_alone():
    # One of every pair of tokens without a batch would be work that the table over offsets is there to save.
    text = lowered_step(
        dataclasses.replace(
            MODEL,
            position=Position(
                terms=(
                    RelativeTable(),
                    Gaussian(),
                )
            ),
        )
    )[0].as_text()
    shapes = set(re.findall(r"stablehlo\.exponential .* : tensor<(\S+)>", text))
    num_patches, (dy, dx) = math.prod(MODEL.grid), offset_shape(MODEL.grid)
    logits = {f"{BATCH * 2}x{num_patches}x{num_patches}xf32"}
    others = {f"{BATCH}x5xf32", f"{BATCH}x{num_patches}x{4 * MODEL.width}xf32"}
    assert shapes - others == logits | {f"1x{dy}x{dx}xf32"}, "besides those of the loss and of GELU"


@pytest.mark.parametrize("unroll", [1, 2])
def test_no_product_of_the_bfloat16_step_has_a_float32_operand(unroll: int):
    found = products(dataclasses.replace(MODEL, compute=Compute(dtype="bfloat16", unroll=unroll)))
    assert found
    assert {operand.rpartition("x")[2] for pair in found for operand in pair} == {"bf16"}


def test_float32_products_of_the_relative_network_see_offsets_and_not_images():
    found = products(
        dataclasses.replace(
            MODEL,
            compute=BFLOAT16,
            position=Position(
                terms=(
                    RelativeMlp(hidden=16),
                    Gaussian(),
                )
            ),
        )
    )
    exact = [operand for pair in found for operand in pair if operand.endswith("f32")]
    num_offsets = math.prod(offset_shape(MODEL.grid))
    assert exact
    assert all(math.prod(map(int, operand.split("x")[:-1])) <= 16 * num_offsets for operand in exact)


def test_donated_state_is_reused_in_place():
    lowered, state = lowered_step(MODEL)
    memory = lowered.compile().memory_analysis()
    assert memory.alias_size_in_bytes >= sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def test_images_reach_the_device_as_bytes_alone():
    batches = pipeline.train_batches(
        noise_source(BATCH),
        transforms=(RandomResizedCrop(),),
        image_size=MODEL.image_size,
        batch_size=BATCH,
        seed=0,
        start_step=0,
        num_steps=1,
        num_threads=0,
    )
    placed = meshes.place_batch(next(iter(batches)), meshes.make(MeshConfig(data=1), jax.devices()))
    image_bytes = BATCH * math.prod(MODEL.image_size) * 3
    # Labels and marks of padding beside them: five bytes an example.
    assert placed.image.dtype == jnp.uint8
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(placed)) == image_bytes + 5 * BATCH


def test_a_deeper_model_is_the_same_program_in_a_longer_loop():
    assert len(products(dataclasses.replace(MODEL, depth=5))) == len(products(MODEL))


@pytest.mark.parametrize(
    ("kernel", "prefix", "has_mask"),
    [
        *((kernel, prefix, False) for kernel in ("reference", "whole", "einsum", "rows") for prefix in (0, 2)),
        *((kernel, 0, True) for kernel in ("reference", "whole", "einsum")),
    ],
)
def test_the_bias_has_no_gather_and_its_gradient_no_scatter(kernel: str, prefix: int, has_mask: bool):
    tokens = jax.ShapeDtypeStruct((2, 6 + prefix, 2, 8), jnp.float32)
    table = jax.ShapeDtypeStruct((2, *offset_shape((2, 3))), jnp.float32)
    prefix_bias = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    mask = jnp.ones((2, 6, 6), jnp.float32) if has_mask else None

    def loss(query: jax.Array, table: jax.Array, prefix_bias: jax.Array) -> jax.Array:
        bias = {"table": table, "prefix_bias": prefix_bias if prefix else None, "prefix_tokens": prefix, "mask": mask}
        return jnp.sum(jnp.square(attention(query, query, query, **bias, grid=(2, 3), kernel=kernel)))

    text = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2))).lower(tokens, table, prefix_bias).as_text()
    assert "dot_general" in text
    # A slice at a place that is not known in advance is contiguous; it has an operation of its own.
    assert [name for name in ("gather", "scatter") if f"stablehlo.{name}" in text] == []


def largest_array(config_grid: tuple[int, int], terms: tuple) -> int:
    """Numbers in the largest array of the offset table's value and gradient."""
    params = term.init(terms, jax.random.key(0), grid=config_grid, num_heads=2)

    def total(params: dict) -> jax.Array:
        return jnp.sum(jnp.square(term.table(terms, params, config_grid)))

    text = jax.jit(jax.value_and_grad(total)).lower(params).as_text()
    return max(math.prod(map(int, shape.split("x")[:-1])) for shape in re.findall(r"tensor<((?:\d+x)+\w+)>", text))


@pytest.mark.parametrize("terms", [(Gaussian(),), (RelativeTable(), Gaussian()), (RelativeMlp(hidden=16), Gaussian())])
def test_work_on_the_lattice_grows_with_offsets_and_not_with_pairs(terms: tuple):
    small, large = (4, 6), (8, 12)
    growth = largest_array(large, terms) / largest_array(small, terms)
    assert growth == pytest.approx(math.prod(offset_shape(large)) / math.prod(offset_shape(small)))


def temporary_bytes(kernel, grid: tuple[int, int], *, prefix: int) -> int:
    """What the compiler sets aside for value and gradients of attention."""
    tokens = jax.ShapeDtypeStruct((1, prefix + math.prod(grid), 1, 8), jnp.float32)
    table = jax.ShapeDtypeStruct((1, *offset_shape(grid)), jnp.float32)
    prefix_bias = jax.ShapeDtypeStruct((1, 3), jnp.float32)

    def loss(query, key, value, *tables):
        return jnp.sum(jnp.square(kernel(query, key, value, *tables)))

    lowered = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3, 4))).lower(tokens, tokens, tokens, table, prefix_bias)
    return lowered.compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("prefix", [0, 1])
def test_attention_at_4096_patches_needs_a_tenth_of_the_memory_of_the_specification(prefix: int):
    grid = (64, 64)

    def specification(query, key, value, table, prefix_bias):
        bias = term.expand(table, grid, prefix_tokens=prefix, prefix_bias=prefix_bias)
        return attend(attention_weights(attention_logits(query, key, scale=1.0, bias=bias)), value)

    def chosen(query, key, value, table, prefix_bias):
        extra = {"prefix_tokens": prefix, "prefix_bias": prefix_bias}
        return attention(query, key, value, table=table, grid=grid, scale=1.0, **extra)

    needed = temporary_bytes(chosen, grid, prefix=prefix)
    assert needed <= 0.1 * temporary_bytes(specification, grid, prefix=prefix)
    # Nothing of [tokens, tokens], not even in one byte a pair.
    assert needed < (prefix + math.prod(grid)) ** 2
