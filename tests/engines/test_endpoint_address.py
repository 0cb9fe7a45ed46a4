"""What `doctor` learns about an endpoint without paying for a call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from upstream import Asked, Reply, Script, fails, sends, upstream

from rungwise.core.errors import UsageError
from rungwise.core.usecase import Endpoint
from rungwise.engines.address import Reached, reach

KEY = "sk-rungwise-0123456789"


async def reached(script: Script, **changes: Any) -> Reached:
    async with upstream(script) as server:
        endpoint = Endpoint(name="e", base_url=server.url, model="big", key_env="MY_KEY", **changes)
        return await reach(endpoint, timeout_s=0.5, environ={"MY_KEY": KEY})


async def test_says_whether_the_model_is_among_those_listed() -> None:
    has = await reached(sends(b'{"object": "list", "data": [{"id": "small"}, {"id": "big"}]}'))
    assert (has.ok, has.listed, has.models) == (True, True, ("small", "big"))
    lacks = await reached(sends(b'{"data": [{"id": "small"}, {}, 7]}'))
    assert (lacks.ok, lacks.listed) == (True, False)
    assert "lists no big; it has small" in lacks.says


@pytest.mark.parametrize("script", [sends(b"not json"), sends(b'{"data": 3}'), sends(b"[]"), fails(404)])
async def test_an_endpoint_without_a_list_still_answers(script: Script) -> None:
    found = await reached(script)
    assert (found.ok, found.listed) == (True, None)


async def test_trouble_is_told_and_the_key_is_not() -> None:
    async def silent(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(30)

    async def echoes(reply: Reply, asked: Asked) -> None:
        await reply.send(500, f"no {asked.headers['authorization']}".encode())

    for script, words in ((silent, "did not answer in 0.5 s"), (fails(401), "refuses the key in MY_KEY"), (echoes, "status 500")):
        found = await reached(script)
        assert not found.ok
        assert words in found.says
        assert KEY not in repr(found)
    async with upstream(silent) as server:
        gone = server.url
    assert "cannot be reached" in (await reach(Endpoint(name="e", base_url=gone, model="m"))).says


async def test_a_key_that_is_not_set_is_named() -> None:
    with pytest.raises(UsageError, match="export MY_KEY="):
        await reach(Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="m", key_env="MY_KEY"), environ={})
