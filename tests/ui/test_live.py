"""A live view remembers little, sends exact pixels, and says nothing a browser cannot read."""

import asyncio
import io
import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from starlette.requests import Request

from playground.core.errors import PlaygroundError
from playground.ui import live

JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-10**6, 10**6), st.floats(), st.text(max_size=5)),
                    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)))


# ---- the newest request wins ----


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=40))
def test_a_request_is_overtaken_exactly_when_a_newer_one_of_its_page_was_announced(requests):
    newest, highest = live.Newest(), {}
    for page, number in requests:
        newest.announce(("view", page), number)
        highest[page] = max(number, highest.get(page, 0))
    for page, number in requests:
        assert newest.overtaken(("view", page), number) == (number < highest[page])
    assert not newest.overtaken(("other view", "a"), 0)


def test_only_the_latest_pages_are_remembered():
    newest = live.Newest()
    for page in range(3 * live.PAGES):
        newest.announce(("view", str(page)), 5)
        newest.announce(("view", "busy"), page)
    assert len(newest._numbers) == live.PAGES
    assert newest.overtaken(("view", "busy"), 0)              # whoever still asks is not forgotten
    assert not newest.overtaken(("view", "0"), 0) and newest.overtaken(("view", str(3 * live.PAGES - 1)), 0)


def test_requests_from_many_threads_leave_the_highest_number():
    newest = live.Newest()
    threads = [threading.Thread(target=lambda i=i: [newest.announce(("view", "a"), n) for n in range(i, 2_000, 8)])
               for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert newest._numbers == {("view", "a"): 1_999}


# ---- what is sent ----


@given(st.sampled_from([(1, 1), (28, 28), (28, 448), (5, 3, 3)]).flatmap(lambda shape: arrays.arrays(np.uint8, shape)))
def test_a_picture_arrives_pixel_by_pixel(picture):
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(live.png(picture)))), picture)


@given(JSON)
def test_numbers_become_json_that_a_browser_can_read(value):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads(json.dumps(live._rounded(value), allow_nan=False), parse_constant=refuse)


@pytest.mark.parametrize("value, sent", [
    (math.nan, None), (math.inf, None), (-math.inf, None), (1 / 3, 0.33333), (123456.7, 123460.0), (1e-9, 1e-9), (7, 7),
    (True, True), ("x", "x"), ((1.0, math.nan), [1.0, None]), ({"a": [2 / 3]}, {"a": [0.66667]})])
def test_numbers_keep_five_digits_and_what_is_no_number_becomes_null(value, sent):
    assert live._rounded(value) == sent


# ---- the route ----


def answer(name, query=""):
    scope = {"type": "http", "method": "GET", "path": f"/live/{name}", "path_params": {"name": name}, "headers": [],
             "query_string": query.encode()}
    return asyncio.run(live._serve(Request(scope)))


@pytest.fixture
def view(monkeypatch):
    """Register a handler for this test alone."""
    monkeypatch.setattr(live, "_handlers", {})
    monkeypatch.setattr(live, "_newest", live.Newest())
    return lambda handler: live.register("test", handler)


def test_a_frame_is_a_png_with_its_numbers(view):
    asked = []
    view(lambda query: asked.append(query) or live.Frame(np.full((2, 3), 7, np.uint8), {"kl": 1 / 3, "gone": math.nan}))
    found = answer("test", "z=1%2C2&page=p&n=4")
    assert found.status_code == 200 and found.media_type == "image/png" and found.headers["cache-control"] == "no-store"
    assert np.asarray(Image.open(io.BytesIO(found.body))).tolist() == [[7] * 3] * 2
    numbers = json.loads(found.headers["x-numbers"])
    assert numbers["kl"] == 0.33333 and numbers["gone"] is None and numbers["ms"] >= 0
    assert asked == [{"z": "1,2"}]                            # who asks and in which order is not the handler's concern


def test_a_passing_frame_is_a_jpeg_of_nearly_the_same_picture(view):
    shades = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.stack(np.broadcast_arrays(shades[:, None], shades[None], 128), axis=-1).astype(np.uint8)
    view(lambda query: live.Frame(picture, passing=query.get("quality") == "coarse"))
    coarse, exact = answer("test", "quality=coarse"), answer("test")
    assert (coarse.media_type, exact.media_type) == ("image/jpeg", "image/png") and coarse.headers["x-numbers"]
    shown = np.asarray(Image.open(io.BytesIO(coarse.body)))
    assert np.abs(shown.astype(int) - picture).max() <= 6
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(exact.body))), picture)


def test_an_unknown_view_is_404(view):
    assert answer("test").status_code == 404


def test_an_older_request_of_the_same_page_is_not_computed(view):
    asked = []
    view(lambda query: asked.append(1) or live.Frame(np.zeros((1, 1), np.uint8)))
    assert answer("test", "page=p&n=5").status_code == 200
    assert answer("test", "page=p&n=4").status_code == 204
    assert answer("test", "page=p&n=5").status_code == answer("test", "page=q&n=1").status_code == 200
    assert len(asked) == 3


@pytest.mark.parametrize("n", ["", "-1", "1e9", "٣", "9" * 400, "x" * 10_000])
def test_a_number_that_is_none_is_served_as_the_first(view, n):
    view(lambda query: live.Frame(np.zeros((1, 1), np.uint8)))
    assert answer("test", f"page=p&n={n}").status_code == 200


def test_a_visitor_s_mistake_is_422_and_ours_500_both_in_two_languages(view):
    def refuse(query):
        raise PlaygroundError("page.large", limit=3)

    def fail(query):
        raise KeyError("secret/place")

    for handler, status in ((refuse, 422), (fail, 500)):
        view(handler)
        found = answer("test")
        error = json.loads(found.body)["error"]
        assert found.status_code == status and error.keys() == {"en", "zh"} and all(error.values())
        assert b"secret" not in found.body and b"KeyError" not in found.body


def test_beyond_a_full_line_a_request_is_turned_away_at_once_and_the_line_moves_on(view):
    begun, go = threading.Event(), threading.Event()

    def slow(query):
        begun.set()
        go.wait(10)
        return live.Frame(np.zeros((1, 1), np.uint8))

    async def crowd():
        scope = {"type": "http", "method": "GET", "path": "/live/test", "path_params": {"name": "test"}, "headers": []}
        ask = lambda i: live._serve(Request({**scope, "query_string": f"page={i}&n=1".encode()}))      # noqa: E731
        waiting = [asyncio.ensure_future(ask(i)) for i in range(live.WAITING_MAX)]
        while not begun.is_set():
            await asyncio.sleep(0.01)
        turned_away = await ask("late")
        go.set()
        return turned_away, await asyncio.gather(*waiting), await ask("later")

    view(slow)
    turned_away, served, later = asyncio.run(crowd())
    assert turned_away.status_code == 503 and json.loads(turned_away.body)["error"].keys() == {"en", "zh"}
    assert {found.status_code for found in served} == {200} and later.status_code == 200
