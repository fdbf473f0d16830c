"""The comparison of a killed run with one that was left alone."""

import argparse
from pathlib import Path

from benchmarks import resume

OPTIONS = argparse.Namespace(config="tests/tiny_config.py", num_steps=4, checkpoint_every=2)


def test_both_runs_have_one_command_but_for_the_folder(tmp_path: Path):
    words = resume.command(OPTIONS, tmp_path)
    assert words[1:3] == ["-m", "gauss_vit.main"] and f"--workdir={tmp_path}" in words


def test_a_checkpoint_of_the_first_step_is_waited_for(tmp_path: Path):
    (tmp_path / "checkpoints" / "0").mkdir(parents=True)
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir()
    assert not resume._has_checkpoint(tmp_path)
    (tmp_path / "checkpoints" / "2").mkdir()
    assert resume._has_checkpoint(tmp_path)
