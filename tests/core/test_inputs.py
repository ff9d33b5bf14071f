"""Whatever comes from outside becomes a value in its range or one sentence: never another exception, never a NaN."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.core import inputs
from playground.core.errors import PlaygroundError

NUMBERS = st.one_of(st.booleans(), st.integers(), st.floats(), st.integers(-(10**400), 10**400),
                    st.sampled_from([2**53 + 1, -0.0, 5e-324, 1e308]), st.sampled_from([-1, 1]).map(lambda sign: sign * 10**5000))
JSON = st.recursive(st.one_of(st.none(), NUMBERS, st.text()),
                    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=8)
RANGES = st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def sentences(error):
    """The refusal in both languages: one line, and short whatever was found."""
    for language in ("en", "zh"):
        sentence = error.sentence(language)
        assert len(sentence) < 1000 and "Traceback" not in sentence and "object at 0x" not in sentence
    return error.sentence("en")


@given(JSON, RANGES)
def test_a_number_is_in_its_range_or_refused(value, limits):
    try:
        found = inputs.number("beta", value, *limits)
    except PlaygroundError as error:
        assert sentences(error).startswith("beta is ")
        assert isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e308 or not math.isfinite(value)
    else:
        assert type(found) is float and limits[0] <= found <= limits[1]
        assert found == value or not limits[0] <= value <= limits[1]         # clamped only from outside


@given(JSON, st.integers(-100, 100), st.integers(0, 10**6))
def test_an_integer_is_in_its_range_or_refused_and_never_changed(value, low, span):
    try:
        found = inputs.integer("steps", value, low, low + span)
    except PlaygroundError as error:
        assert sentences(error).startswith("steps is ")
        assert type(value) is not int or not low <= value <= low + span
    else:
        assert type(found) is int and found == value and low <= found <= low + span and not isinstance(value, bool)


@given(JSON)
def test_a_seed_is_one_of_two_billion_or_refused(value):
    try:
        assert 0 <= inputs.seed(value) <= inputs.SEED_MAX
    except PlaygroundError as error:
        assert sentences(error).startswith("seed is ")


@given(st.one_of(JSON, st.lists(NUMBERS, min_size=3, max_size=3)), RANGES)
def test_a_vector_has_its_length_and_range_or_is_refused(values, limits):
    try:
        found = inputs.vector("z", values, 3, *limits)
    except PlaygroundError as error:
        sentences(error)
    else:
        assert len(found) == 3 and all(type(x) is float and limits[0] <= x <= limits[1] for x in found)
        assert isinstance(values, list) and len(values) == 3


TEXTS = st.one_of(NUMBERS.map(lambda x: str(x) if abs(x) < 1e300 else "1e999"), st.text("0123456789.-+e_ nif٣"))


@given(st.one_of(JSON, st.lists(TEXTS).map(",".join)), st.booleans())
def test_numbers_in_a_text_have_their_length_and_range_or_are_refused(text, pad):
    try:
        found = inputs.numbers_in("z", text, 4, -3, 3, pad=pad)
    except PlaygroundError as error:
        sentences(error)
    else:
        assert len(found) == 4 and all(type(x) is float and -3 <= x <= 3 for x in found)
        assert isinstance(text, str) and len(text.split(",")) <= 4


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5))
def test_numbers_written_as_text_come_back_the_same(values):
    text = ",".join(map(repr, values))
    assert inputs.numbers_in("z", text, len(values), -3, 3) == values
    assert inputs.numbers_in("z", text, 8, -3, 3, pad=True) == values + [0.0] * (8 - len(values))


@given(JSON)
def test_a_choice_is_one_of_the_choices_or_refused(value):
    try:
        assert inputs.choice("model", value, ("vae-mnist", "")) in ("vae-mnist", "")
    except PlaygroundError as error:
        assert sentences(error).startswith("model ") and "vae-mnist" in sentences(error)


@given(JSON)
def test_a_parsed_text_is_a_number_or_what_it_was(value):
    found = inputs.parsed(value)
    assert type(found) is float if found is not value else True


@pytest.mark.parametrize("text", ["x" * 30_000_000, "0," * 10_000_000, "1" * 30_000_000, "[" * 1_000_000],
                         ids=["letters", "numbers", "digits", "brackets"])
def test_a_text_of_30_megabytes_is_refused_in_a_short_sentence(text):
    for check in (lambda: inputs.numbers_in("z", text, 32, -3, 3, pad=True), lambda: inputs.seed(inputs.parsed(text)),
                  lambda: inputs.choice("model", text, ["a"]), lambda: inputs.vector("z", text, 3, 0, 1),
                  lambda: inputs.number("z", text, 0, 1)):
        with pytest.raises(PlaygroundError) as refused:
            check()
        assert len(sentences(refused.value)) < 200


@pytest.mark.parametrize("text, found", [("nan", "nan"), ("inf", "inf"), ("-inf", "-inf"), ("abc", "“abc”"), ("", "“”")])
def test_a_refusal_names_what_was_found(text, found):
    with pytest.raises(PlaygroundError, match=f"^z2 is {found}; a finite number from -3 to 3 was expected"):
        inputs.numbers_in("z", f"1,{text}", 2, -3, 3)


def test_what_is_no_list_is_said_to_be_none():
    for value in (None, 3, "1,2", {"a": 1}, True):
        with pytest.raises(PlaygroundError, match="^z is .*; a list of 3 numbers was expected"):
            inputs.vector("z", value, 3, 0, 1)
    with pytest.raises(PlaygroundError, match="^z has 2 values; 3 were expected"):
        inputs.vector("z", [1, 2], 3, 0, 1)


def test_the_constants_of_json_as_python_reads_them_are_refused():
    for value in json.loads("[NaN, Infinity, -Infinity, 1e999, true, null]"):
        with pytest.raises(PlaygroundError):
            inputs.number("z", value, 0, 1)
