"""A volume's pictures may be kept for ever, because their address says what is in them; its description is asked for each time."""

import asyncio
import json
import threading

import pytest
from starlette.requests import Request

from playground.core.errors import PlaygroundError
from playground.ui import volume
from playground.ui.volume import Volume

PICTURES = {"a": b"one", "b": b"two"}


@pytest.fixture
def serve(monkeypatch):
    """Register a handler for this test alone."""
    monkeypatch.setattr(volume, "_handlers", {})
    monkeypatch.setattr(volume, "_kept", volume.OrderedDict())
    return lambda handler: volume.register("test", handler)


def answer(path, query=""):
    """What the routes say to /volume/<path>?<query>."""
    name, *rest = path.split("/")
    scope = {"type": "http", "method": "GET", "path": f"/volume/{path}", "headers": [], "query_string": query.encode(),
             "path_params": dict(zip(("name", "version", "picture"), [name, *rest]))}
    return asyncio.run((volume._picture if rest else volume._describe)(Request(scope)))


def test_the_description_names_pictures_that_may_be_kept_for_ever(serve):
    asked = []
    serve(lambda query: asked.append(query) or Volume({"cells": [1, 2, 3]}, PICTURES))
    found = answer("test", "model=x&seed=3")
    described = json.loads(found.body)
    assert found.headers["cache-control"] == "no-cache" and described["meta"] == {"cells": [1, 2, 3]} and described["pictures"] == ["a", "b"]
    for name, content in PICTURES.items():
        picture = answer(f"test/{described['version']}/{name}", "model=x&seed=3")
        assert picture.body == content and picture.media_type == "image/png" and "immutable" in picture.headers["cache-control"]
    assert asked == [{"model": "x", "seed": "3"}], "once packed, its pictures are at hand"


def test_another_content_has_another_version_and_the_same_content_the_same():
    versions = {Volume(meta, pictures).version for meta in ({}, {"a": 1}) for pictures in (PICTURES, {}, {"a": b"onet", "b": b"wo"}, {"b": b"one", "a": b"two"})}
    assert len(versions) == 8
    assert Volume({"x": 1, "y": 2}, PICTURES).version == Volume({"y": 2, "x": 1}, dict(reversed(PICTURES.items()))).version


def test_a_server_that_was_started_again_packs_the_same_volume_again(serve):
    serve(lambda query: Volume({}, PICTURES))
    version = json.loads(answer("test").body)["version"]
    volume._kept.clear()
    assert answer(f"test/{version}/a").body == b"one"


def test_what_is_not_there_is_404_and_a_query_without_a_volume_204(serve):
    made = [Volume({}, PICTURES)]
    serve(lambda query: made[0])
    version = json.loads(answer("test").body)["version"]
    assert answer("nowhere").status_code == answer(f"nowhere/{version}/a").status_code == answer(f"test/{version}/c").status_code == 404
    assert answer("test/0123/a").status_code == 404, "an older version is gone for good"
    made[0] = None
    assert answer("test").status_code == 204 and answer("test").headers["cache-control"] == "no-cache"


def test_only_the_latest_volumes_are_kept(serve):
    serve(lambda query: Volume({"i": query["i"]}, PICTURES))
    for i in range(3 * volume.KEPT):
        answer("test", f"i={i}")
    assert [kept.meta["i"] for kept in volume._kept.values()] == [str(i) for i in range(2 * volume.KEPT, 3 * volume.KEPT)]


def test_a_visitor_s_mistake_is_422_and_ours_500_both_in_two_languages(serve):
    def refuse(query):
        raise PlaygroundError("page.large", limit=3)

    def fail(query):
        raise KeyError("secret/place")

    for handler, status in ((refuse, 422), (fail, 500)):
        serve(handler)
        for path in ("test", "test/0123/a"):
            found = answer(path)
            error = json.loads(found.body)["error"]
            assert found.status_code == status and error.keys() == {"en", "zh"} and b"secret" not in found.body


def test_volumes_are_packed_one_at_a_time_and_beyond_a_full_line_one_is_turned_away(serve):
    go, at_once = threading.Event(), []

    def slow(query):
        at_once.append(1)
        assert go.wait(10) and len(at_once) == 1
        at_once.pop()
        return Volume({}, {})

    async def crowd():
        scope = {"type": "http", "method": "GET", "path": "/volume/test", "headers": [], "query_string": b"", "path_params": {"name": "test"}}
        waiting = [asyncio.ensure_future(volume._describe(Request(scope))) for _ in range(volume.WAITING_MAX)]
        await asyncio.sleep(0.05)
        turned_away = await volume._describe(Request(scope))
        go.set()
        return turned_away, await asyncio.gather(*waiting)

    serve(slow)
    turned_away, served = asyncio.run(crowd())
    assert turned_away.status_code == 503 and {found.status_code for found in served} == {200}
