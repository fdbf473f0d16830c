"""The golden checkpoint, which an earlier commit wrote (`record_golden.py`), is restored by this version."""

import json

import jax
import numpy as np

from gauss_vit import experiment as experiments
from gauss_vit.train.checkpoint import origin
from gauss_vit.train.checkpoint.reader import read_record, restore_params, restore_state
from gauss_vit.train.workdir import lock
from tests.train.checkpoint.record_golden import (
    EXPECTED,
    FOLDER,
    STEP,
    TRAINED_ON,
    abstract_of,
    golden_experiment,
    logits_of,
)


def test_the_golden_train_state_is_restored_and_verifies():
    restored = restore_state(FOLDER, abstract_of(golden_experiment()))
    assert restored is not None
    assert (restored.step, restored.damaged) == (STEP, ())
    assert int(restored.arrays.step) == STEP
    progress = restored.record.progress
    assert (progress.batch_digest, progress.interval, progress.metrics) == ("golden", (0.5, 3), {"eval/top1": 0.25})


def test_the_golden_record_says_what_the_parameters_were_trained_on():
    assert read_record(FOLDER, STEP).trained_on == TRAINED_ON


def test_the_golden_record_is_of_before_it_said_what_wrote_it():
    assert read_record(FOLDER, STEP).origin == origin.UNKNOWN


def test_the_golden_parameters_give_the_logits_that_were_recorded():
    experiment = golden_experiment()
    params = restore_params(FOLDER, abstract_of(experiment).params).arrays
    expected = json.loads(EXPECTED.read_text())["logits"]
    # Logits are of order 0.1; programs of other versions of XLA round float32 differently.
    np.testing.assert_allclose(logits_of(experiment, params)[0], expected, rtol=1e-4, atol=1e-6)


def test_the_golden_config_is_read():
    experiment = golden_experiment()
    assert experiments.read(FOLDER / lock.CONFIG) == experiment
    assert experiments.from_json(dict(read_record(FOLDER, STEP).experiment)) == experiment


def test_the_golden_parameters_are_all_of_backbone_and_head():
    leaves = read_record(FOLDER, STEP).leaves
    owners = {path.split(".")[1] for path in leaves if path.startswith("params.")}
    assert owners == {"backbone", "head"}
    assert len(leaves) == len(jax.tree.leaves(abstract_of(golden_experiment())))
