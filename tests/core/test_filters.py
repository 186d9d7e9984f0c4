"""Conditions that cannot be meant are refused: by a sentence in Python, by their place in JSON."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from segsearch.core.errors import QueryError
from segsearch.core.filters import MAX_NAMES, MAX_VALUES, Filters

JSON = TypeAdapter(Filters)
NAN, INFINITE = float("nan"), float("inf")
IN_SUMMER = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"min_area": 10}, "The filter min_area is 10, expected a share from 0 to 1."),
        ({"min_area": NAN}, "The filter min_area is nan, expected a share from 0 to 1."),
        ({"max_area": INFINITE}, "The filter max_area is inf, expected a share from 0 to 1."),
        ({"max_area": -0.1}, "The filter max_area is -0.1, expected a share from 0 to 1."),
        ({"min_box_overlap": 2}, "The filter min_box_overlap is 2, expected a share from 0 to 1."),
        ({"min_predicted_iou": NAN}, "min_predicted_iou is nan, expected a finite number."),
        ({"min_stability": INFINITE}, "min_stability is inf, expected a finite number."),
        ({"near": (48, 11, INFINITE)}, "The filter near is inf, expected a finite number."),
        ({"image_ids": (0,)}, f"The filter image_ids is 0, expected 1 to {2**63 - 1}."),
        ({"albums": ("",)}, "The filter albums holds an empty name."),
        ({"paths": ("a/*", "")}, "The filter paths holds an empty name."),
        ({"places": ("",)}, "The filter places holds an empty name."),
        (
            {"paths": ("a",) * (MAX_NAMES + 1)},
            f"The filter paths lists {MAX_NAMES + 1} values, expected at most {MAX_NAMES}.",
        ),
        (
            {"image_ids": tuple(range(1, MAX_VALUES + 2))},
            f"The filter image_ids lists {MAX_VALUES + 1} values, expected at most {MAX_VALUES}.",
        ),
        ({"taken_after": "July"}, "'July' is no date such as 2024-07-14 or 2024-07-14T12:00."),
        ({"taken_after": "2024"}, "'2024' is no date such as"),
        ({"tags": "holiday"}, "The filter tags is wrong: Input should be a valid tuple."),
        ({"colour": "red"}, "The filter colour is wrong: Unexpected keyword argument."),
    ],
)
def test_a_field_that_is_wrong_is_named(conditions: dict[str, Any], sentence: str) -> None:
    with pytest.raises(QueryError) as told:
        Filters(**conditions)
    assert sentence in str(told.value)
    with pytest.raises(ValidationError) as refused:
        JSON.validate_python(conditions)
    assert refused.value.errors()[0]["loc"][0] == next(iter(conditions))


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"min_area": 0.5, "max_area": 0.1}, "The filter min_area is 0.5, more than max_area, 0.1"),
        ({"min_width": 9, "max_width": 8}, "The filter min_width is 9, more than max_width, 8."),
        ({"places": ("upper",)}, "There is no place 'upper': combine one of left, center, right"),
        ({"places": ("left right",)}, "There is no place 'left right'"),
        ({"box": (0.5, 0.0, 0.5, 1.0)}, "The filter box is (0.5, 0.0, 0.5, 1.0), expected shares"),
        ({"box": (0.0, 0.0, 1.5, 1.0)}, "expected shares x0 < x1, y0 < y1."),
        ({"gps_box": (50.0, 0.0, 40.0, 1.0)}, "expected south, west, north, east in degrees."),
        ({"near": (0.0, 0.0, 0.0)}, "expected latitude, longitude and kilometres."),
        ({"near": (91.0, 0.0, 1.0)}, "expected latitude, longitude and kilometres."),
    ],
)
def test_fields_that_contradict_each_other_are_refused_by_the_same_sentence_everywhere(
    conditions: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(QueryError) as told:
        Filters(**conditions)
    assert sentence in str(told.value)
    with pytest.raises(QueryError) as refused:
        JSON.validate_python(conditions)
    assert str(refused.value) == str(told.value)


def test_every_filter_is_empty_by_default_and_counts_when_given() -> None:
    assert Filters().is_empty
    given: dict[str, Any] = {
            "image_ids": (), "segment_ids": (1,), "paths": ("a",), "albums": ("a",),
            "min_width": 0, "max_width": 1, "min_height": 0, "max_height": 1,
            "taken_after": datetime(2024, 1, 1), "taken_before": datetime(2024, 1, 1),
            "cameras": ("a",), "collections": ("a",), "tags": ("a",),
            "all_tags": ("a",), "no_tags": ("a",),
            "gps_box": (0.0, 0.0, 1.0, 1.0), "near": (0.0, 0.0, 1.0), "min_area": 0.0,
            "max_area": 1.0, "box": (0.0, 0.0, 1.0, 1.0), "places": ("left",),
            "min_predicted_iou": 0.0, "min_stability": 0.0,
            "map_area": ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)), "map_cluster": 0,
            "has_text": False, "kinds": ("text",), "is_video": False, "videos": (1,),
            "min_duration": 0.0, "max_duration": 9.0, "between": (0.0, 0.0),
    }  # fmt: skip
    assert {*given, "min_box_overlap"} == {condition.name for condition in fields(Filters)}
    for name, value in given.items():
        assert not Filters(**{name: value}).is_empty, name


def test_json_makes_the_same_value_as_python() -> None:
    text = '{"paths": ["a/*"], "near": [48, 11, 5], "taken_before": "2024-07-14T12:00:00+02:00"}'
    taken = datetime(2024, 7, 14, 12, tzinfo=IN_SUMMER)
    filters = Filters(paths=("a/*",), near=(48, 11, 5), taken_before=taken)
    assert JSON.validate_json(text) == filters
    assert hash(JSON.validate_json(text)) == hash(filters)
    assert filters.taken_before == datetime(2024, 7, 14, 12)  # cameras know no zone
