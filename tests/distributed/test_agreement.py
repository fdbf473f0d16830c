"""Processes that differ are named with what differs."""

from gauss_vit.distributed.agreement import first_difference, require_same

FACTS = {"code": "3f2a", "config": {"model": {"depth": 2, "sizes": [1, 2]}, "seed": 0}, "empty": {}}


def test_the_same_facts_have_no_difference():
    assert first_difference([FACTS, dict(FACTS), dict(FACTS)]) == ""
    require_same(FACTS, limit=1.0)


def test_a_key_of_a_nested_object_is_named():
    other = {**FACTS, "config": {"model": {"depth": 3, "sizes": [1, 2]}, "seed": 0}}
    assert first_difference([FACTS, FACTS, other]) == (
        "process 2 differs from process 0: config.model.depth is 3 instead of 2"
    )


def test_a_key_that_only_one_has_is_named():
    expected = "process 1 differs from process 0: dropout is {there} instead of {here}"
    assert first_difference([FACTS, {**FACTS, "dropout": 0.1}]) == expected.format(there=0.1, here="absent")
    assert first_difference([{**FACTS, "dropout": 0.1}, FACTS]) == expected.format(there="absent", here=0.1)


def test_many_differences_are_counted():
    said = first_difference([{f"key{i}": 0 for i in range(9)}, {f"key{i}": 1 for i in range(9)}])
    assert said.endswith("key4 is 1 instead of 0, 4 more")
