"""What finished runs say together, on results that are made up."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.errors import DataError
from gauss_vit.studies.figures import fields_to_compare
from gauss_vit.studies.plan import make_plan
from gauss_vit.studies.run_result import RunResult
from gauss_vit.studies.study_rows import ledger_rows
from gauss_vit.studies.summary import Summary, summarize, verdict
from gauss_vit.studies.tables import main_tables, other_tables

PLAN = make_plan("tests/studies/tiny_study.py", overrides={}, workdir=Path("/runs/t"))
VALUES = {("none", 0): 0.25, ("with-gauss", 0): 0.5, ("none", 5): 0.5, ("with-gauss", 5): 0.5}
FIELD = MeasuredField(
    title="x",
    values=np.arange(1.0, 9.0).reshape(2, 4) / 36,
    token=(0, 0),
    grid=(1, 2),
    protocol="bmvc2023",
    num_images=4,
    radii_px=np.arange(3.0),
    radial_mass=np.array([0.1, 0.5, 1.0]),
    radial_band=None,
)


def result(index: int) -> RunResult:
    run = PLAN.runs[index]
    value = VALUES[run.arm, run.seed]
    return RunResult(
        run=run,
        value=value,
        metrics={"loss": 1.5},
        label=np.zeros(4, np.int32),
        is_right=np.arange(4) < 4 * value,
        learned={"gaussian/sigma": (1.0 + run.seed, 2.0)} if run.arm == "with-gauss" else {},
        half_mass_radius=3.0,
        field=FIELD,
        order=f"order {run.seed}",
        seconds_per_step=0.5 if run.arm == "none" else 0.75,
        seconds=60.0,
        revision="abc",
        machine="1 x cpu",
    )


RESULTS = [result(index) for index in range(4)]


def summarized(*indices: int) -> Summary:
    return summarize(PLAN, [RESULTS[index] for index in indices])


def test_differences_are_within_seeds():
    (difference,) = summarized(0, 1, 2, 3).differences
    assert difference.by_seed == {0: 0.25, 5: 0.0}
    assert difference.estimate.mean == 0.125
    low, high = difference.estimate.interval
    assert (low + high) / 2 == pytest.approx(0.125)
    # Of four images the arm is right about one more, for one of two seeds.
    assert difference.over_images == (0.0, 0.375)


def test_seeds_without_the_baseline_are_left_out_of_differences():
    summary = summarized(0, 1, 3)
    assert summary.differences[0].by_seed == {0: 0.25}
    assert summary.missing == ("none seed 5",)
    assert verdict(summary.differences[0], baseline="none").endswith("one seed, so that nothing can be claimed")


def test_arms_without_runs_are_left_out():
    summary = summarized(0)
    assert [arm.name for arm in summary.arms] == ["none"]
    assert summary.differences == ()


def test_runs_that_diverged_are_not_missing():
    summary = summarize(PLAN, [RESULTS[0]], diverged={"with-gauss seed 0": "loss is nan"})
    assert summary.missing == ("none seed 5", "with-gauss seed 5")


def test_runs_that_diverged_are_named_with_what_is_claimed_without_them():
    summary = summarize(PLAN, RESULTS[:3], diverged={"with-gauss seed 5": "loss is nan"})
    assert [arm.num_diverged for arm in summary.arms] == [0, 1]
    assert verdict(summary.differences[0], baseline="none").endswith("claimed; 1 run of theirs diverged")
    assert [row.note.endswith("; without 1 run that diverged") for row in ledger_rows(summary)[-3:]] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        # Student's t interval of two differences is their mean and 6.35 times their distance.
        ((0.40, 0.45), "with-gauss is above none"),
        ((-0.40, -0.45), "with-gauss is below none"),
        ((0.40, 0.60), "with-gauss and none: no difference can be claimed"),
        ((0.25, 0.25), "with-gauss and none: equal differences in all seeds, so that nothing can be claimed"),
    ],
)
def test_claims_are_those_of_the_interval(gains: tuple[float, float], expected: str):
    values = {
        ("none", 0): 0.5,
        ("none", 5): 0.75,
        ("with-gauss", 0): 0.5 + gains[0],
        ("with-gauss", 5): 0.75 + gains[1],
    }
    moved = [dataclasses.replace(each, value=values[each.run.arm, each.run.seed]) for each in RESULTS]
    (difference,) = summarize(PLAN, moved).differences
    assert verdict(difference, baseline="none") == expected


def test_no_claim_is_made_where_the_interval_holds_zero():
    (difference,) = summarized(0, 1, 2, 3).differences
    assert verdict(difference, baseline="none") == "with-gauss and none: no difference can be claimed"


def test_runs_on_other_data_are_refused():
    other = dataclasses.replace(RESULTS[1], order="another")
    with pytest.raises(DataError, match="saw other data"):
        summarize(PLAN, [RESULTS[0], other])


def test_runs_on_other_images_are_refused():
    other = dataclasses.replace(RESULTS[2], label=np.ones(4, np.int32))
    with pytest.raises(DataError, match="other test images"):
        summarize(PLAN, [RESULTS[0], other])


def test_learned_numbers_are_means_over_seeds():
    arms = {arm.name: arm for arm in summarized(0, 1, 2, 3).arms}
    assert arms["with-gauss"].learned == {"gaussian/sigma": (3.5, 2.0)}
    assert arms["none"].learned == {}
    assert arms["none"].field.title == "none"


def test_rows_have_runs_means_and_differences():
    rows = ledger_rows(summarized(0, 1, 2, 3))
    assert [row.ours for row in rows] == [25.0, 50.0, 50.0, 50.0, 37.5, 50.0, 12.5]
    assert [row.seeds for row in rows[-3:]] == [(0, 5)] * 3
    assert {row.scale for row in rows} == {"small"}
    assert all(row.command and row.commit == "abc" for row in rows)
    assert rows[0].config == "tests/studies/tiny_study.py:none"


def test_learned_numbers_of_other_layers_have_no_mean():
    shorter = dataclasses.replace(RESULTS[3], learned={"gaussian/sigma": (1.0,)})
    assert summarize(PLAN, [*RESULTS[:3], shorter]).arms[1].learned == {}


def test_row_of_a_difference_names_code_and_machine_of_both_arms():
    others = [
        dataclasses.replace(each, revision="def", machine="8 x tpu") if each.run.arm == "none" else each
        for each in RESULTS
    ]
    *_, row = ledger_rows(summarize(PLAN, others))
    assert (row.commit, row.machine, row.seeds) == ("abc, def", "1 x cpu, 8 x tpu", (0, 5))


def test_fields_are_compared_where_they_have_the_size_of_the_baseline():
    larger = dataclasses.replace(FIELD, values=np.ones((4, 8)) / 32)
    others = [dataclasses.replace(each, field=larger) if each.run.arm != "none" else each for each in RESULTS]
    assert [field.title for field in fields_to_compare(summarize(PLAN, RESULTS))] == ["none", "with-gauss"]
    assert [field.title for field in fields_to_compare(summarize(PLAN, others))] == ["none"]
    assert fields_to_compare(summarize(PLAN, RESULTS[1:2])) == ()


def test_rows_do_not_depend_on_times():
    slow = [dataclasses.replace(each, seconds=1e6, seconds_per_step=99.0) for each in RESULTS]
    assert ledger_rows(summarize(PLAN, slow)) == ledger_rows(summarized(0, 1, 2, 3))


def test_tables_compare_the_cost_with_the_baseline():
    found = {table.title: table for table in other_tables(summarized(0, 1, 2, 3))}
    assert found["Cost of a step"].rows == (("none", "500", "1.00"), ("with-gauss", "750", "1.50"))
    assert found["Runs"].heading == ("run", "top1", "loss", "time")


def test_main_tables_say_how_many_seeds_each_arm_has():
    (differences, arms) = main_tables(summarized(0, 1, 2))
    assert [dict(zip(arms.heading, row, strict=True))["seeds"] for row in arms.rows] == ["2", "1"]
    assert [row[0] for row in differences.rows] == ["with-gauss"]
    assert [table.title for table in main_tables(summarized(1))] == ["top1 of each arm"]
