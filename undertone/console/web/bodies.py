"""What a request sends, as long as it is small and comes soon."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request

_BYTES, _SECONDS = 4_096, 10.0


async def json_of(request: Request) -> bytes:
    """The body of a request that says that it is JSON: no form of another site can.

    Raises:
        HTTPException: it is none, or as in `body_of`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "want application/json")
    return await body_of(request)


async def body_of(request: Request) -> bytes:
    """The body of a request.

    Raises:
        HTTPException: it is longer than anything that a page of ours sends, or takes too long.
    """
    body = b""
    try:
        async with asyncio.timeout(_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > _BYTES:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408, "that took too long") from None
    return body
