import math

import pytest

from mnas import errors
from mnas.errors import UsageError, printable

NO_NUMBERS = (math.nan, math.inf, -math.inf, True, "1", None)
BEYOND_FLOATS = (10**400, -(10**400))


@pytest.mark.parametrize(
    ("check", "limits", "accepted", "rejected", "text"),
    [
        (errors.require_whole, (), (1, 7), (0, -1, 1.0), "a whole number of at least 1"),
        (errors.require_whole, (0,), (0, 1), (-1, 0.5), "a whole number of at least 0"),
        (
            *(errors.require_whole, (1, 9), (1, 9), (0, 10)),
            "a whole number of at least 1 and at most 9",
        ),
        (errors.require_odd, (), (1, 3), (0, 2, -1, 3.0), "an odd whole number (3, 5, 7, ...)"),
        (errors.require_finite, (), (0, -2.5, 1e300), (), "a number"),
        (errors.require_positive, (), (1e-9, 3), (0, -1), "a number above 0"),
        (errors.require_positive, (5,), (1e-9, 5), (0, 5.1), "a number above 0 and at most 5"),
        (errors.require_at_least, (2,), (2, 2.5), (1.9,), "a number of at least 2"),
        (
            *(errors.require_at_least, (2, 1000), (2, 1000), (1.9, 1001)),
            "a number of at least 2 and at most 1,000",
        ),
        (errors.require_at_most, (0,), (0, -2.5), (0.1,), "a number of at most 0"),
        (errors.require_between, (1, 10), (1, 2.5, 10), (0.9, 11), "1 to 10"),
        (errors.require_fraction, (), (0, 0.99), (1, -0.1), "0 or more, below 1"),
        (errors.require_open_fraction, (), (0.01, 0.99), (0, 1), "above 0, below 1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_numeric_checks(check, limits, accepted, rejected, text):
    for value in accepted:
        check("owner", "field", value, *limits)
    for value in (*rejected, *NO_NUMBERS):
        with pytest.raises(UsageError) as caught:
            check("owner", "field", value, *limits)
        assert str(caught.value) == f"owner: field = {value!r}; accepted: {text}"


def test_a_value_must_be_among_the_accepted_ones():
    errors.require_one_of("owner", "field", "a", ("a", None))
    with pytest.raises(UsageError) as caught:
        errors.require_one_of("owner", "field", "b", ("a", None))
    assert str(caught.value) == "owner: field = 'b'; accepted: a, None"


def test_an_unknown_name_has_the_nearest_as_a_hint():
    error = errors.unknown("controller", "evolutoin", ["evolution", "ppo"])
    assert str(error) == "unknown controller 'evolutoin'; did you mean evolution?"
    error = errors.unknown("controller", "x", iter(["evolution", "ppo"]))
    assert str(error) == "unknown controller 'x'; accepted: evolution, ppo"


def test_long_values_are_shortened_in_messages():
    error = errors.rejected("owner", "field", "x" * 10_000, "text")
    assert str(error) == f"owner: field = '{'x' * 118}…; accepted: text"
    assert len(str(errors.unknown("field", "x" * 10_000, ["name"]))) < 200


@pytest.mark.parametrize("value", BEYOND_FLOATS)
def test_ints_beyond_the_floats_are_no_finite_numbers(value):
    for check in (errors.require_finite, errors.require_positive, errors.require_fraction):
        with pytest.raises(UsageError, match=r"^owner: field = .*; accepted: "):
            check("owner", "field", value)


def test_ints_too_long_to_print_are_shown_as_such():
    with pytest.raises(UsageError) as caught:
        errors.require_whole("owner", "field", 10**5000, most=9)
    assert "field = int that is too long to show; accepted: a whole" in str(caught.value)


def test_text_of_others_is_one_short_line():
    assert printable("a cat") == "a cat"
    assert printable("a\nb\x1b[1m\udcff") == "a\\nb\\x1b[1m\\udcff"
    assert printable("x" * 41) == "x" * 37 + "..."
