"""Training does not start with a position bias that does nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models import attention as attention_module
from gauss_vit.models import construct
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from gauss_vit.position import Gaussian, RelativeTable
from gauss_vit.position.position import Position, with_terms
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.train import bias_effect
from tests.models import test_swin
from tests.models.built import build
from tests.models.test_vit import PLAIN, RELATIVE, VARIANTS, images_for

KEY = jax.random.key(0)


def effects_of(config, *, change=lambda params: params):
    graph, _ = abstract(config)
    params = nnx.to_pure_dict(nnx.state(build(config, KEY)))
    return bias_effect.measure_effects(graph, change(params), images_for(config))


def test_every_term_of_every_block_is_measured():
    effects = effects_of(RELATIVE)
    assert {(effect.layer, effect.term) for effect in effects} == {
        (layer, term) for layer in range(3) for term in ("relative_mlp", "gaussian")
    }
    assert all(effect.is_live for effect in effects)
    bias_effect.require_effect(effects)


@pytest.mark.parametrize("layer_scale", [1e-6, None])
def test_effect_is_seen_whatever_layer_scale_hides(layer_scale):
    effects = effects_of(dataclasses.replace(RELATIVE, layer_scale=layer_scale))
    assert all(effect.change > 1e-3 for effect in effects if effect.term == "gaussian")


def test_a_gaussian_beside_register_tokens_is_seen():
    effects = effects_of(VARIANTS["registers"])
    assert [effect.layer for effect in effects if effect.is_live] == [0, 1, 2]


def test_bfloat16_models_are_measured_too():
    effects = effects_of(dataclasses.replace(RELATIVE, compute=Compute(dtype="bfloat16")))
    assert len(effects) == 2 * RELATIVE.depth
    # Outputs of attention are rounded to 8 bits before they are compared.
    for effect, exact in zip(effects, effects_of(RELATIVE), strict=True):
        assert effect.is_live
        assert effect.change == pytest.approx(exact.change, rel=0.1, abs=0.01)


def test_a_model_without_terms_has_nothing_to_prove():
    assert effects_of(PLAIN) == ()
    bias_effect.require_effect(())


def test_a_table_that_starts_from_zeros_is_live():
    config = dataclasses.replace(
        RELATIVE,
        position=Position(
            terms=(
                RelativeTable(init_std=0.0),
                Gaussian(),
            )
        ),
    )
    zeros = [effect for effect in effects_of(config) if effect.term == "relative"]
    assert all(effect.is_zero and effect.change == 0 and effect.is_live for effect in zeros)


def test_a_dead_amplitude_is_named_with_its_block():
    def kill_block_1(params):
        amplitude = params["blocks"]["attention"]["bias"]["gaussian"]["amplitude"]
        params["blocks"]["attention"]["bias"]["gaussian"]["amplitude"] = amplitude.at[1].set(0)
        return params

    with pytest.raises(ConfigError, match="gaussian in block 1 ") as caught:
        bias_effect.require_effect(effects_of(RELATIVE, change=kill_block_1))
    assert caught.value.code == "BIAS-DEAD"


@pytest.mark.parametrize(
    "name",
    ["v2, per head", *(pytest.param(name, marks=pytest.mark.full) for name in ("v1, shared", "v1, anisotropic"))],
)
def test_every_block_of_every_stage_of_windows_is_measured(name):
    config = test_swin.GAUSSIANS[name]
    model = test_swin.lively(config)
    effects = bias_effect.measure_effects(*nnx.split(model), test_swin.images_for(config))
    relative = config.position.terms[0].name
    assert [(effect.term, effect.layer) for effect in effects] == [
        (term, layer) for term in ("gaussian", relative) for layer in range(5)
    ]
    bias_effect.require_effect(effects)


@pytest.mark.parametrize("layer", range(5))
def test_a_dead_amplitude_in_windows_is_named_with_its_place_in_the_model(layer):
    config = test_swin.GAUSSIANS["v1, shared"]
    graph, _ = construct.abstract(config)
    params = test_swin.params_of(test_swin.lively(config))
    stage, index = (0, layer) if layer < 2 else (1, layer - 2)
    gaussian = params["stages"][str(stage)]["blocks"]["attention"]["bias"]["gaussian"]
    gaussian["amplitude"] = gaussian["amplitude"].at[index].set(0)
    with pytest.raises(ConfigError, match=rf"without effect: gaussian in block {layer} \(removing"):
        bias_effect.require_effect(bias_effect.measure_effects(graph, params, test_swin.images_for(config)))


def test_a_shared_bias_is_measured_in_every_block():
    config = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),), shared=(RelativeMlp(hidden=8),)))
    effects = effects_of(config)
    found = [(effect.term, effect.layer) for effect in effects]
    assert found == [(term, layer) for term in ("gaussian", "shared relative_mlp") for layer in range(3)]
    bias_effect.require_effect(effects)


def test_a_shared_bias_that_is_constant_is_dead():
    def flatten(params):
        mlp = params["shared_bias"]["relative_mlp"]
        mlp["fc1_kernel"] = jnp.zeros_like(mlp["fc1_kernel"])
        return params

    config = dataclasses.replace(RELATIVE, position=Position(terms=(Gaussian(),), shared=(RelativeMlp(hidden=8),)))
    with pytest.raises(
        ConfigError, match="without effect: shared relative_mlp in block 0, shared relative_mlp in block 1"
    ):
        bias_effect.require_effect(effects_of(config, change=flatten))


@pytest.mark.parametrize("beside", [(), (RelativeMlp(hidden=8),)])
def test_a_dead_term_among_shared_ones_is_found(beside):
    # Its square is 0 in float32.
    shared = (*beside, Gaussian(amplitude=1e-30))
    effects = effects_of(dataclasses.replace(RELATIVE, position=Position(shared=shared)))
    assert [effect.term for effect in effects if not effect.is_live] == ["shared gaussian"] * 3


def test_the_gradient_of_a_shared_term_is_that_of_its_parameters():
    own, shared = ({kind: (Gaussian(),)} for kind in ("terms", "shared"))
    first, second = (effects_of(dataclasses.replace(RELATIVE, position=Position(**each))) for each in (own, shared))
    assert [effect.gradient for effect in second] == pytest.approx([effect.gradient for effect in first], rel=1e-4)


def test_a_flat_gaussian_is_dead():
    config = with_terms(RELATIVE, Gaussian(sigma=1e6))
    with pytest.raises(ConfigError, match="gaussian in block 0, gaussian in block 1"):
        bias_effect.require_effect(effects_of(config))


def test_attention_that_ignores_its_bias_is_found(monkeypatch):
    real = attention_module.attention

    def fused(query, key, value, *, table, **rest):
        return real(query, key, value, table=jnp.zeros_like(table), **rest)

    monkeypatch.setattr(attention_module, "attention", fused)
    with pytest.raises(ConfigError, match="without effect"):
        bias_effect.require_effect(effects_of(dataclasses.replace(RELATIVE, width=24)))
