"""Optimizers against their equations in numpy, in float64."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.optim import (
    LAMB,
    SGD,
    VECTORS,
    AdamW,
    Constant,
    LearningRateScale,
    Lion,
    Optimizer,
    Rule,
    Schedule,
    Warmup,
)
from gauss_vit.train.optim.optimizer import decay_mask, make
from gauss_vit.tree import flatten_paths

NUM_STEPS = 7
ADAMW = Optimizer(rule=AdamW(b1=0.8, b2=0.95, eps=1e-3), learning_rate=0.02, weight_decay=0.1)
MOMENTUM = Optimizer(rule=SGD(momentum=0.9), learning_rate=0.05, weight_decay=0.1)
LAMB_OF_TIMM = Optimizer(
    rule=LAMB(b1=0.8, b2=0.95, eps=1e-3), learning_rate=0.02, weight_decay=0.1, max_gradient_norm=1.0
)
LION = Optimizer(rule=Lion(b1=0.8, b2=0.95), learning_rate=0.02, weight_decay=0.1)


def gradient(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=(3, 2)).astype(np.float32)


def start() -> np.ndarray:
    return np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)


def follow(optimizer: Optimizer, params: dict, undecayed: tuple[str, ...] = ()) -> dict:
    """Makes the steps with optax; every parameter has the same gradient."""
    transform = make(optimizer, params, NUM_STEPS, undecayed=undecayed)
    with jax.numpy_dtype_promotion("standard"):
        state = transform.init(params)
        for step in range(NUM_STEPS):
            gradients = jax.tree.map(lambda leaf, step=step: jnp.broadcast_to(gradient(step), leaf.shape), params)
            updates, state = transform.update(gradients, state, params)
            params = optax.apply_updates(params, updates)
    return params


def cosine(peak: float, step: int) -> float:
    return peak * 0.5 * (1 + np.cos(np.pi * step / NUM_STEPS))


def adam_oracle(weight_decay: float) -> np.ndarray:
    params = start().astype(np.float64)
    mean, square = np.zeros_like(params), np.zeros_like(params)
    for step in range(NUM_STEPS):
        mean = 0.8 * mean + 0.2 * gradient(step)
        square = 0.95 * square + 0.05 * gradient(step).astype(np.float64) ** 2
        unbiased = (mean / (1 - 0.8 ** (step + 1)), square / (1 - 0.95 ** (step + 1)))
        params = params - cosine(0.02, step) * (unbiased[0] / (np.sqrt(unbiased[1]) + 1e-3) + weight_decay * params)
    return params


def sgd_oracle(weight_decay: float) -> np.ndarray:
    params = start().astype(np.float64)
    velocity = np.zeros_like(params)
    for step in range(NUM_STEPS):
        velocity = 0.9 * velocity + gradient(step) + weight_decay * params
        params = params - cosine(0.05, step) * velocity
    return params


def lamb_oracle(weight_decay: float) -> np.ndarray:
    params = start().astype(np.float64)
    mean, square = np.zeros_like(params), np.zeros_like(params)
    for step in range(NUM_STEPS):
        clipped = gradient(step) / max(1.0, np.linalg.norm(gradient(step)))
        mean = 0.8 * mean + 0.2 * clipped
        square = 0.95 * square + 0.05 * clipped.astype(np.float64) ** 2
        unbiased = (mean / (1 - 0.8 ** (step + 1)), square / (1 - 0.95 ** (step + 1)))
        update = unbiased[0] / (np.sqrt(unbiased[1]) + 1e-3) + weight_decay * params
        trust = np.linalg.norm(params) / np.linalg.norm(update) if weight_decay else 1.0
        params = params - cosine(0.02, step) * trust * update
    return params


def lion_oracle(weight_decay: float) -> np.ndarray:
    params = start().astype(np.float64)
    momentum = np.zeros_like(params)
    for step in range(NUM_STEPS):
        sign = np.sign(0.8 * momentum + 0.2 * gradient(step))
        params = params - cosine(0.02, step) * (sign + weight_decay * params)
        momentum = 0.95 * momentum + 0.05 * gradient(step)
    return params


ORACLES = [(ADAMW, adam_oracle), (LAMB_OF_TIMM, lamb_oracle), (LION, lion_oracle), (MOMENTUM, sgd_oracle)]


@pytest.mark.parametrize(("optimizer", "oracle"), ORACLES)
def test_update_is_the_published_equation(optimizer: Optimizer, oracle):
    params = follow(optimizer, {"kernel": jnp.asarray(start())})
    np.testing.assert_allclose(params["kernel"], oracle(0.1), rtol=2e-5, atol=1e-6)  # seven float32 steps


@pytest.mark.parametrize(("optimizer", "oracle"), ORACLES)
def test_position_bias_parameters_do_not_decay(optimizer: Optimizer, oracle):
    tree = {"blocks": {"attention": {"bias": {"gaussian": {"amplitude": jnp.asarray(start())}}}}}
    params = follow(optimizer, tree, undecayed=("blocks.attention.bias.gaussian.amplitude",))
    amplitude = params["blocks"]["attention"]["bias"]["gaussian"]["amplitude"]
    np.testing.assert_allclose(amplitude, oracle(0.0), rtol=2e-5, atol=1e-6)


def test_lamb_at_a_constant_rate_is_that_of_timm():
    recorded = np.load(Path(__file__).with_name("timm_schedule.npz"))["lamb"]
    optimizer = dataclasses.replace(LAMB_OF_TIMM, schedule=Schedule(curve=Constant()))
    params = follow(optimizer, {"kernel": jnp.asarray(start())})
    np.testing.assert_allclose(params["kernel"], recorded, rtol=2e-5, atol=1e-6)  # seven float32 steps


@pytest.mark.parametrize("optimizer", [LAMB_OF_TIMM, ADAMW, LION, MOMENTUM])
def test_stacked_blocks_move_like_separate_arrays(optimizer: Optimizer):
    optimizer = dataclasses.replace(optimizer, max_gradient_norm=None)
    blocks = [jnp.asarray(start()), jnp.asarray(3 * start() + 1)]
    apart = follow(optimizer, {"first": blocks[0], "second": blocks[1]})
    together = follow(optimizer, {"blocks": {"kernel": jnp.stack(blocks)}})["blocks"]["kernel"]
    np.testing.assert_allclose(together, jnp.stack([apart["first"], apart["second"]]), rtol=1e-5, atol=1e-6)


TOKENS = ("class_token", "distillation_token", "register_tokens")


def test_vectors_are_what_timm_spares():
    paths = {"bias": 0, "fc1_bias": 0, "scale": 0, "layer_scale1": 0, "logit_scale": 0, "kernel": 0, "table": 0}
    mask = decay_mask(dataclasses.replace(ADAMW, no_decay=VECTORS), {"blocks": paths, **dict.fromkeys(TOKENS, 0)})
    assert [path for path, decays in mask["blocks"].items() if decays] == ["kernel", "table"]
    assert not any(mask[name] for name in TOKENS)


def test_frozen_parameters_keep_their_bits_and_have_no_moments():
    params = {"body": {"kernel": jnp.asarray(start())}, "head": jnp.asarray(start())}
    optimizer = dataclasses.replace(ADAMW, learning_rate_scale=LearningRateScale(frozen=(r"body\..*",)))
    moved = follow(optimizer, params)
    np.testing.assert_array_equal(moved["body"]["kernel"], start())
    np.testing.assert_allclose(moved["head"], adam_oracle(0.1), rtol=2e-5, atol=1e-6)
    state = make(optimizer, params, NUM_STEPS).init(params)
    assert sum(leaf.shape == (3, 2) for leaf in jax.tree.leaves(state)) == 2


@pytest.mark.parametrize("optimizer", [ADAMW, LAMB_OF_TIMM, LION, MOMENTUM])
def test_frozen_parameters_take_no_part_in_clipping(optimizer: Optimizer):
    optimizer = dataclasses.replace(optimizer, max_gradient_norm=0.5)
    frozen = dataclasses.replace(
        optimizer, learning_rate_scale=LearningRateScale(frozen=("body",), layer_decay=0.5, factors=(("head.*", 1.0),))
    )
    params = {"body": jnp.asarray(start()), "head": {"kernel": jnp.asarray(start())}}
    alone = follow(optimizer, {"head": {"kernel": jnp.asarray(start())}})
    together = follow(frozen, params)
    np.testing.assert_allclose(together["head"]["kernel"], alone["head"]["kernel"], rtol=1e-6)


def test_factors_scale_updates_and_decay():
    params = {"fast": jnp.asarray(start()), "slow": jnp.asarray(start())}
    moved = follow(dataclasses.replace(ADAMW, learning_rate_scale=LearningRateScale(factors=(("slow", 0.5),))), params)
    half = follow(dataclasses.replace(ADAMW, learning_rate=0.01), {"slow": params["slow"]})
    np.testing.assert_allclose(moved["slow"], half["slow"], rtol=1e-6)
    np.testing.assert_allclose(moved["fast"], follow(ADAMW, params)["fast"], rtol=1e-6)


def test_states_of_the_optimizers_that_there_were_keep_their_form_so_that_old_checkpoints_restore():
    params = {"kernel": jnp.asarray(start())}
    assert [len(make(each, params, 5).init(params)) for each in (ADAMW, MOMENTUM)] == [4, 4]
    paths = {
        type(each.rule).__name__: list(flatten_paths(make(each, params, 5).init(params))) for each in (ADAMW, MOMENTUM)
    }
    assert paths == {
        "AdamW": ["1.count", "1.mu.kernel", "1.nu.kernel", "3.count"],
        "SGD": ["2.trace.kernel", "3.count"],
    }


def test_mask_spares_what_the_model_exempts_and_nothing_else():
    tree = {"blocks": {"sigma": 0, "amplitude": 0, "kernel": 0, "sigmas": 0}}
    mask = decay_mask(ADAMW, tree, undecayed=("blocks.sigma", "blocks.amplitude"))["blocks"]
    assert [path for path, decays in mask.items() if not decays] == ["amplitude", "sigma"]


def test_everything_decays_by_default():
    assert decay_mask(ADAMW, {"kernel": 0}) == {"kernel": True}


def test_a_pattern_must_match_something():
    optimizer = dataclasses.replace(ADAMW, no_decay=(r".*norm.*",))
    assert decay_mask(optimizer, {"norm": {"scale": 0}, "kernel": 0}) == {"norm": {"scale": False}, "kernel": True}
    with pytest.raises(ConfigError, match="matches no parameter"):
        decay_mask(optimizer, {"kernel": 0})


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 1.0), (100.0, 2.0)])
def test_clipping_scales_gradients_down_to_the_global_norm(factor: float, expected: float):
    small = {"a": jnp.asarray([0.3, 0.0], jnp.float32), "b": jnp.asarray([0.4], jnp.float32)}
    gradients = jax.tree.map(lambda leaf: leaf * factor, small)
    optimizer = Optimizer(
        rule=SGD(momentum=0.0),
        learning_rate=1.0,
        weight_decay=0.0,
        schedule=Schedule(curve=Constant()),
        max_gradient_norm=1.0,
    )
    transform = make(optimizer, gradients, 10)
    updates, _ = transform.update(gradients, transform.init(gradients), gradients)
    for name, leaf in small.items():
        np.testing.assert_allclose(updates[name], -expected * leaf, rtol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        *((ADAMW, rule) for rule in (AdamW(b2=0.95, eps=1e-3), AdamW(b1=0.8, eps=1e-3), AdamW(b1=0.8, b2=0.95))),
        *((LAMB_OF_TIMM, rule) for rule in (LAMB(b2=0.95, eps=1e-3), LAMB(b1=0.8, eps=1e-3), LAMB(b1=0.8, b2=0.95))),
        (LION, Lion(b1=0.5, b2=0.95)),
        (LION, Lion(b1=0.8, b2=0.5)),
        (MOMENTUM, SGD(momentum=0.5)),
    ],
    ids=str,
)
def test_every_option_of_a_rule_changes_the_result(optimizer: Optimizer, rule: Rule):
    params = {"kernel": jnp.asarray(start())}
    changed = follow(dataclasses.replace(optimizer, rule=rule), params)
    assert not np.allclose(changed["kernel"], follow(optimizer, params)["kernel"], rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.5},
        {"weight_decay": 0.9},
        {"schedule": Schedule(curve=Constant())},
        {"schedule": Schedule(warmup=Warmup(steps=3))},
        {"no_decay": ("kernel",)},
        {"learning_rate_scale": LearningRateScale(layer_decay=0.5)},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", [ADAMW, LAMB_OF_TIMM, LION, MOMENTUM], ids=lambda each: type(each.rule).__name__)
def test_every_option_of_all_rules_changes_the_result(optimizer: Optimizer, change: dict):
    params = {"kernel": jnp.asarray(start())}
    changed = follow(dataclasses.replace(optimizer, **change), params)
    assert not np.allclose(changed["kernel"], follow(optimizer, params)["kernel"], rtol=1e-3)


@pytest.mark.parametrize("optimizer", [ADAMW, LAMB_OF_TIMM, MOMENTUM], ids=lambda each: type(each.rule).__name__)
def test_clipping_changes_the_result(optimizer: Optimizer):
    params = {"kernel": jnp.asarray(start())}
    changed = follow(dataclasses.replace(optimizer, max_gradient_norm=0.01), params)
    assert not np.allclose(changed["kernel"], follow(optimizer, params)["kernel"], rtol=1e-3)


def test_all_errors_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        Optimizer(rule=AdamW(), learning_rate=float("nan"), weight_decay=-1.0, max_gradient_norm=0.0, no_decay=("(",))
    for field in ("learning_rate", "weight_decay", "max_gradient_norm", "no_decay"):
        assert field in caught.value.message


@pytest.mark.parametrize(
    ("make_rule", "fields"),
    [
        (lambda: AdamW(b1=1.0, b2=-0.1, eps=0.0), ("b1", "b2", "eps")),
        (lambda: LAMB(b1=1.0, b2=-0.1, eps=float("inf")), ("b1", "b2", "eps")),
        (lambda: Lion(b1=1.0, b2=float("nan")), ("b1", "b2")),
        (lambda: SGD(momentum=1.0), ("momentum",)),
    ],
)
def test_rules_name_every_option_out_of_range(make_rule, fields: tuple[str, ...]):
    with pytest.raises(ConfigError) as caught:
        make_rule()
    for field in fields:
        assert field in caught.value.message
