"""The record of what a run ran on."""

import json
from pathlib import Path

import jax

from gauss_vit.train.workdir import environment


def test_environment_names_versions_and_devices():
    described = environment.describe_environment(jax.devices())
    assert described["packages"]["jax"] == jax.__version__
    assert (described["platform"], described["num_devices"]) == ("cpu", 8)
    assert json.loads(json.dumps(described)) == described


def test_environment_holds_no_secret(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "s3cret-value")
    assert "s3cret-value" not in json.dumps(environment.describe_environment(jax.devices()))


def test_package_that_is_not_installed_has_no_version():
    assert environment._version("no-such-package") is None


def test_folder_outside_of_a_repository_has_no_revision(tmp_path: Path):
    assert environment._revision(tmp_path) is None
