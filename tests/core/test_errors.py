"""An error is one sentence in each language, whatever value it carries."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.core import errors
from playground.core.errors import PlaygroundError


@pytest.fixture(autouse=True, scope="module")
def sentence():
    """A sentence of the test's own, gone afterwards: the text tests read all of them."""
    errors.register({"test.found": ("{name} is {found}; mend it.", "{name} 的值是 {found}；请修改。")})
    yield
    del errors._SENTENCES["test.found"]


def test_it_speaks_both_languages():
    error = PlaygroundError("test.found", name="n", found=3)
    assert str(error) == error.sentence("en") == "n is 3; mend it."
    assert error.sentence("zh") == "n 的值是 3；请修改。"


@given(st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.none(), st.just(5000).map(lambda n: 10**n), st.just(-(10**400)),
                 st.lists(st.text()), st.just(10_000_000).map(lambda n: "x" * n)))
def test_any_value_can_be_named_briefly(found):
    error = PlaygroundError("test.found", name="n", found=found)
    assert len(error.sentence("en")) < 300 and len(error.sentence("zh")) < 300


def test_a_value_is_not_read_as_a_template():
    assert str(PlaygroundError("test.found", name="{found}", found="{0.__class__}")) == "{found} is {0.__class__}; mend it."


def test_a_sentence_can_be_registered_once_and_used_only_when_registered():
    with pytest.raises(AssertionError, match="test.found"):
        errors.register({"test.found": ("a", "b")})
    with pytest.raises(AssertionError, match="test.none"):
        PlaygroundError("test.none")


def test_what_is_registered_cannot_be_changed_from_outside():
    errors.registered()["test.other"] = ("", "")
    assert "test.other" not in errors.registered()
    assert {name for _, name, *_ in string.Formatter().parse(errors.registered()["test.found"][0]) if name} == {"name", "found"}
