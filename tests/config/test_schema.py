"""Config values as data: what is accepted, what is refused and how it is said."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.config import schema
from gauss_vit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Circle:
    """A shape with one number."""

    radius: float

    def __post_init__(self):
        if self.radius <= 0:
            raise ConfigError(f"radius must be above 0, got {self.radius}", do="choose 1")


@dataclass(frozen=True, kw_only=True)
class Square:
    """Another shape, whose check speaks of two fields."""

    side: int = 2
    grid: tuple[int, int] = (3, 4)

    def __post_init__(self):
        if self.side > 9:
            raise ValueError(f"side {self.side} does not fit the grid")

    @cached_property
    def area(self) -> int:
        """A computed value that the instance keeps."""
        return self.side**2


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A root with every kind of field."""

    shape: Circle | Square
    others: tuple[Circle | Square, ...] = ()
    spare: Circle | None = None
    title: str = "untitled"
    mode: Literal["plain", "fancy"] = "plain"
    is_open: bool = False
    limit: int | None = None
    ratio: float | None = None


def complaints(data: object) -> list[str]:
    with pytest.raises(schema.MismatchError) as caught:
        schema.conform(data, Drawing)
    return [problem.message for problem in caught.value.problems]


def test_json_form_gives_an_equal_value_back():
    drawing = Drawing(
        shape=Square(side=5, grid=(1, 7)), others=(Circle(radius=0.5), Square()), spare=Circle(radius=3.0), limit=4
    )
    assert schema.conform(schema.encode(drawing, Drawing), Drawing) == drawing


def test_members_of_a_union_carry_their_class_name_and_others_do_not():
    data = schema.encode(Drawing(shape=Circle(radius=1.0), spare=Circle(radius=2.0)), Drawing)
    assert data["shape"] == {"type": "Circle", "radius": 1.0}
    assert data["spare"] == {"radius": 2.0}


def test_instances_are_accepted_as_they_are():
    drawing = Drawing(shape=Square())
    assert drawing.shape.area == 4
    assert schema.conform(drawing, Drawing) == drawing


def test_all_wrong_types_are_named_at_once():
    data = {"shape": {"type": "Square", "side": 8.5, "grid": [1, 2, 3]}, "title": 7, "is_open": 1, "limit": "x"}
    assert complaints(data) == [
        "shape.side must be an integer, got 8.5",
        "shape.grid must be a tuple of 2 integers, got [1, 2, 3]",
        "title must be text, got 7",
        "is_open must be True or False, got 1",
        "limit must be an integer or None, got 'x'",
    ]


def test_items_of_tuples_are_named_by_their_index():
    data = {"shape": {"type": "Square"}, "others": [{"type": "Square"}, {"type": "Circle", "radius": "big"}]}
    assert complaints(data) == ["others[1].radius must be a number, got 'big'"]


def test_unknown_key_suggests_the_nearest_and_is_not_reported_as_missing_too():
    assert complaints({"shape": {"type": "Circle", "raduis": 1.0}}) == [
        "unknown key shape.raduis; did you mean shape.radius?"
    ]


def test_missing_key_is_named():
    assert complaints({"shape": {"type": "Circle"}}) == ["shape.radius is missing"]


def test_keys_with_defaults_may_be_left_out():
    assert schema.conform({"shape": {"type": "Square"}}, Drawing) == Drawing(shape=Square())


def test_checks_of_the_dataclass_are_reported_with_the_dotted_key_and_remedy():
    with pytest.raises(schema.MismatchError) as caught:
        schema.conform({"shape": {"type": "Circle", "radius": -1}}, Drawing)
    assert caught.value.problems == (
        schema.Problem(message="shape.radius must be above 0, got -1.0", remedy="choose 1"),
    )


def test_checks_that_do_not_begin_with_a_field_are_put_behind_the_path():
    assert complaints({"shape": {"type": "Square", "side": 10}}) == ["shape.side 10 does not fit the grid"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float):
    assert "ratio must be" in complaints({"shape": {"type": "Square"}, "ratio": value})[0]


@pytest.mark.parametrize("value", [2**63, -(10**30), 10**5000], ids=["64 bits", "100 bits", "16610 bits"])
def test_huge_integers_are_refused_without_writing_them_out(value: int):
    message = complaints({"shape": {"type": "Square"}, "limit": value})[0]
    assert message.startswith("limit must be") and len(message) < 100


def test_whole_numbers_become_floats_where_a_float_is_meant():
    circle = schema.conform({"radius": 3}, Circle)
    assert type(circle.radius) is float


def test_truth_values_are_no_numbers():
    assert complaints({"shape": {"type": "Square", "side": True}}) == ["shape.side must be an integer, got True"]


@pytest.mark.parametrize("tag", ["os.system", "Drawing", 3, None, "x" * 10_000])
def test_type_tags_outside_the_union_are_refused(tag: object):
    message = complaints({"shape": {"type": tag, "radius": 1.0}})[0]
    assert message.startswith("shape.type must be one of Circle, Square") and len(message) < 200


def test_objects_that_name_code_are_only_unknown_keys():
    message = complaints({"shape": {"type": "Square", "_target_": "os.system"}})[0]
    assert message.startswith("unknown key shape._target_")


def test_values_that_are_long_are_cut_in_messages():
    assert len(complaints({"shape": {"type": "Square"}, "mode": "y" * 1000})[0]) < 200


def test_literals_say_what_is_possible():
    assert complaints({"shape": {"type": "Square"}, "mode": "loud"}) == ["mode must be 'plain' or 'fancy', got 'loud'"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shape.raduis", "shape.radius"),
        ("radius", "shape.radius"),
        ("shpae.radius", "shape.radius"),
        ("titel", "title"),
        ("zzzz", None),
    ],
)
def test_nearest_finds_what_was_meant(name: str, expected: str | None):
    assert schema.nearest(name, ["shape.radius", "shape.side", "title", "limit"]) == expected


def test_every_dataclass_of_a_tree_is_found_once():
    assert set(schema.config_types(Drawing)) == {Drawing, Circle, Square}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "radius", "side", "shape", "others", "limit"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_data_is_accepted_or_refused_with_problems(data: object):
    try:
        drawing = schema.conform(data, Drawing)
    except schema.MismatchError as mismatch:
        assert mismatch.problems
    else:
        assert schema.conform(schema.encode(drawing, Drawing), Drawing) == drawing


def test_object_without_a_tag_is_the_first_of_its_union():
    drawing = schema.conform({"shape": {"radius": 1.0}}, Drawing)
    assert drawing.shape == Circle(radius=1.0)
    assert complaints({"shape": {"side": 1}})[0].startswith("unknown key shape.side")


def test_a_misspelt_tag_is_told_from_a_field():
    assert complaints({"shape": {"type": "Square"}, "spare": {"tpe": "Circle", "radius": 1.0}}) == [
        "unknown key spare.tpe; did you mean spare.type?"
    ]
