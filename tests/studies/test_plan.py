"""The runs of a study and their commands."""

from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.studies.plan import Plan, flags, make_plan, process_command, shown_commands, study_command

SOURCE = "tests/studies/tiny_study.py"


def planned(**overrides: str | bool) -> Plan:
    return make_plan(
        SOURCE, overrides={key.replace("__", "."): value for key, value in overrides.items()}, workdir=Path("/runs/t")
    )


def test_arms_of_a_seed_come_together():
    assert [(run.arm, run.seed) for run in planned().runs] == [
        ("none", 0),
        ("with-gauss", 0),
        ("none", 5),
        ("with-gauss", 5),
    ]
    assert [run.index for run in planned().runs] == [0, 1, 2, 3]


def test_run_is_trained_by_an_ordinary_command():
    run = planned(training__num_steps="3").runs[3]
    assert run.train == (
        "train",
        f"--config={SOURCE}:gauss",
        "--config.training.num_steps=3",
        "--config.seed=5",
        "--workdir=/runs/t/with-gauss/seed_5",
    )
    assert run.evaluate == ("evaluate", "--workdir=/runs/t/with-gauss/seed_5")
    assert process_command(run.train)[1:3] == ("-m", "gauss_vit.main")


def test_experiment_of_a_run_has_its_seed_and_the_changes():
    experiment = planned(training__num_steps="3").runs[3].experiment
    assert (experiment.seed, experiment.training.num_steps) == (5, 3)
    assert experiment.model.has_position_bias


def test_seed_cannot_be_changed_for_all_runs():
    with pytest.raises(ConfigError, match="would give all runs one seed"):
        planned(seed="3")


def test_wrong_change_is_one_line():
    with pytest.raises(ConfigError, match=r"did you mean training\.num_steps"):
        planned(training__num_step="3")


def test_places_of_this_machine_are_not_shown():
    plan = planned(data__data_dir="/home/me/sets", training__num_steps="3")
    shown = f"{study_command(plan)} {shown_commands(plan, plan.runs[0])}"
    assert "/home" not in shown and "/runs" not in shown
    assert "--config.data.data_dir=DATA_DIR --config.training.num_steps=3" in shown
    assert shown_commands(plan, plan.runs[0]).endswith("--config.seed=0 --workdir=W && gauss-vit evaluate --workdir=W")


def test_switches_are_flags():
    assert flags({"a.b": True, "c": False, "d": "x y"}) == ("--config.a.b", "--noconfig.c", "--config.d=x y")


def test_arm_and_seed_stand_in_a_change_for_those_of_the_run():
    plan = planned(data__data_dir="/sets/{arm}/{seed}")
    assert [run.experiment.data.data_dir for run in plan.runs[2:]] == ["/sets/none/5", "/sets/with-gauss/5"]
    assert "--config.data.data_dir=/sets/with-gauss/5" in plan.runs[3].train
    shown = f"{study_command(plan)} {shown_commands(plan, plan.runs[3])}"
    assert "/sets" not in shown and "--config.data.data_dir=DATA_DIR" in shown


def test_shown_commands_of_a_run_have_its_own_arm_and_seed():
    plan = planned(data__eval_split="test_{arm}_{seed}")
    assert "--config.data.eval_split=test_with-gauss_5" in shown_commands(plan, plan.runs[3])
    assert "'--config.data.eval_split=test_{arm}_{seed}'" in study_command(plan)


@pytest.mark.parametrize(("weights", "key"), [("best", "best"), ("ema", "ema_decay")])
def test_weights_that_the_runs_do_not_keep_are_refused(tmp_path: Path, weights: str, key: str):
    text = Path(SOURCE).read_text(encoding="utf-8")
    source = tmp_path / "study.py"
    source.write_text(text.replace("hours_per_run=", f'weights="{weights}", hours_per_run='), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"the arm none does not keep.*training\.{key}"):
        make_plan(str(source), overrides={}, workdir=tmp_path)
