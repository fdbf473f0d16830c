"""A backbone that is defined here alone is classified with, trained and drawn with no change in the package."""

import json
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from gauss_vit import main as program
from gauss_vit.analysis.erf import accumulate, batch_of
from gauss_vit.analysis.protocol import PRE_NORM
from gauss_vit.inspect.features import features_of, grid_of_layer
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import build
from gauss_vit.models.features import Features
from gauss_vit.models.layers import LayerNorm, Linear, stack
from gauss_vit.models.stage import Stage, stage_of_block
from gauss_vit.models.tokens import patch_embedding
from gauss_vit.ops.patches import patchify
from gauss_vit.position import Position
from gauss_vit.tree import flatten_paths
from tests.drawing import undrawn
from tests.networks import classifier, network_params
from tests.tiny_config import ONE_DEVICE

_COMPUTE = Compute()


@dataclass(frozen=True, kw_only=True)
class MixerConfig:
    """Linear maps over channels, then over the rows above: a token sees its own column, from itself upwards."""

    image_size: tuple[int, int] = (16, 24)
    patch_size: tuple[int, int] = (4, 4)
    width: int = 8
    depth: int = 2
    compute: Compute = _COMPUTE
    position = Position()
    has_position_bias = False
    class_blocks = 0
    num_keys = 2
    dense_init = "fan_in_uniform"

    @property
    def grid(self):
        return self.image_size[0] // self.patch_size[0], self.image_size[1] // self.patch_size[1]

    @property
    def num_features(self):
        return self.width

    def stages(self):
        return (Stage(path="backbone.blocks", first=0, depth=self.depth, grid=self.grid, patch_size=self.patch_size),)

    def make(self, key):
        return Mixer(self, key=key)


class MixerBlock(nnx.Module):
    """Adds to every patch a linear map of itself and of the patch above it."""

    def __init__(self, config, *, key):
        self.mix = Linear(2 * config.width, config.width, start="fan_in_uniform", key=key)

    def __call__(self, patches):
        above = jnp.pad(patches[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
        return patches + self.mix(jnp.concatenate([patches, above], axis=-1))


class Mixer(nnx.Module):
    """The toy backbone."""

    def __init__(self, config, *, key):
        embed_key, blocks_key = jax.random.split(key, config.num_keys)
        self.patch_embed = patch_embedding(config.patch_size, config.width, key=embed_key)
        self.blocks = stack(lambda each: MixerBlock(config, key=each), jax.random.split(blocks_key, config.depth))
        self.norm = LayerNorm(config.width, epsilon=1e-6)
        self.config = config

    def maps(self, images, layers, *, key=None):
        del key
        for layer in layers:
            stage_of_block(self.config.stages(), layer)
        tokens = self.patch_embed(patchify(images, self.config.patch_size))
        stream = tokens.reshape(images.shape[0], *self.config.grid, self.config.width)
        graph, stacked = nnx.split(self.blocks)

        def step(stream, params):
            stream = nnx.merge(graph, params)(stream)
            return stream, stream

        _, streams = jax.lax.scan(step, stream, stacked)
        return tuple(streams[layer - 1] for layer in layers)

    def features(self, images, *, key=None):
        (last,) = self.maps(images, (self.config.depth,), key=key)
        normal = self.norm(last)
        return Features(
            last=normal,
            pre_norm=last,
            prefix=normal.reshape(images.shape[0], -1, self.config.width)[:, :0],
            pooled=jnp.mean(normal, axis=(1, 2)),
        )

    def intermediates(self, images):
        return ()

    def attention_inputs(self, images):
        return ()


CONFIG = MixerConfig()


def images(batch=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *CONFIG.image_size, 3)), jnp.float32)


def test_the_toy_satisfies_the_protocols():
    assert isinstance(CONFIG, BackboneConfig)
    assert isinstance(build(CONFIG, jax.random.key(0)), Backbone)


def test_a_head_classifies_with_the_toy():
    network = build(classifier(CONFIG, num_classes=3), jax.random.key(0))
    assert jax.jit(network)(images()).shape == (2, 3)
    leaves = flatten_paths(network_params(CONFIG))
    assert {path.split(".")[0] for path in leaves} == {"backbone", "head"}
    assert leaves["backbone.blocks.mix.kernel"].shape == (2, 16, 8)


@pytest.mark.parametrize(("layer", "reach"), [(1, 2), (2, 3), (None, 3)])
def test_its_receptive_field_is_drawn_behind_every_block(layer, reach):
    features = features_of(CONFIG, network_params(CONFIG), layer=layer, protocol=PRE_NORM)
    assert grid_of_layer(CONFIG, layer) == (4, 6)
    (field,) = accumulate(features, [batch_of(images())], tokens=((3, 2),), protocol=PRE_NORM).maps()
    patches = field.values.reshape(4, 4, 6, 4).sum(axis=(1, 3))
    seen = np.zeros((4, 6), bool)
    # A block looks at the patch itself and at the one above it.
    seen[4 - reach :, 2] = True
    np.testing.assert_array_equal(patches > 0, seen)


FILE = """
import dataclasses
from tests import tiny_config
from tests.models.test_toy_backbone import MixerConfig

def get_config():
    tiny = tiny_config.get_config()
    training = dataclasses.replace(tiny.training, observe_images=8)
    return dataclasses.replace(tiny, model=MixerConfig(), training=training)
"""


@pytest.fixture(scope="module")
def config_flag(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("configs") / "mixed.py"
    path.write_text(FILE)
    return f"--config={path}"


@pytest.fixture(scope="module")
def run(config_flag: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that was then resumed for two more."""
    folder = tmp_path_factory.mktemp("runs") / "mixed"
    command = [config_flag, ONE_DEVICE, f"--workdir={folder}"]
    assert program.main([*command, "--config.training.observe_images=0"]) == 0
    with undrawn():
        assert program.main([*command, "--config.training.num_steps=6"]) == 0
    return folder


def test_it_trains_resumes_and_is_observed(run: Path):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "eval"] == [4, 6]
    assert "erf/half_mass_radius" in [line for line in lines if line["split"] == "observe"][-1]
    assert "resumed from step 4 (verified)" in (run / "train.log").read_text()
    assert json.loads((run / "config.json").read_text())["model"]["type"] == "MixerConfig"


def test_it_is_evaluated_and_its_receptive_field_drawn(run: Path, config_flag: str, tmp_path: Path, capsys):
    assert program.main(["evaluate", config_flag, f"--workdir={run}"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["num_examples"] == 50
    photo = tmp_path / "photos" / "noise.png"
    photo.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(photo)
    words = ["erf", config_flag, f"--workdir={run}", f"--images={photo.parent}", f"--out={tmp_path}"]
    assert program.main([*words, "--protocol=pre_norm"]) == 0
    assert (tmp_path / "mixed_pre_norm.png").is_file()


def test_a_workdir_without_the_file_names_the_missing_backbone(run: Path, tmp_path: Path, capsys):
    assert program.main(["position", f"--workdir={run}", f"--out={tmp_path}"]) != 0
    assert "model.type is 'MixerConfig', not one of" in capsys.readouterr().err
