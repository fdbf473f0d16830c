"""The record of what a run ran on."""

import json
import subprocess
from pathlib import Path

import jax
import pytest

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


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(("version", "revision"), [("7.1", "v7.1"), (None, None)])
def test_source_outside_of_a_repository_has_the_version(
    tmp_path: Path, version: str | None, revision: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(environment, "_version", lambda package: version)
    (tmp_path / "source.py").write_text("")
    assert environment._revision(tmp_path / "source.py") == revision


def test_source_in_a_checkout_has_its_revision_and_says_whether_it_was_changed(tmp_path: Path):
    source = tmp_path / "source.py"
    source.write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert environment._revision(source) == head
    git(tmp_path, "tag", "v7")
    assert environment._revision(source) == f"v7-0-g{head}"
    source.write_text("changed")
    assert environment._revision(source) == f"v7-0-g{head}+changes"
