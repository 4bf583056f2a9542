"""Names of people who act on a page, as a browser sends them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from stream.web import schemas
from stream.web.pages import refuse_foreign
from stream.web.problems import ProblemError, bad, known

if TYPE_CHECKING:
    from fastapi import Request


LARGEST = 100_000
"""Bytes of what is sent, at most."""


MOST_NAME: int = schemas.NAME["maxLength"]
"""Characters of who says it, at most."""


NAMED = re.compile(schemas.NAME["pattern"])
"""What the description says of a name is what is asked of it."""


async def body_of(request: Request, kind: type[Any]) -> Any:
    """The content of a request to change something.

    Raises:
        ProblemError: it comes from elsewhere, or is not what is wanted.
    """
    refuse_foreign(request.headers)
    known(request.query_params.multi_items(), ())
    whole = b""
    async for part in request.stream():
        whole += part
        if len(whole) > LARGEST:
            raise ProblemError(413, "TooLarge", f"send at most {LARGEST:,} bytes")
    try:
        found = msgspec.json.decode(whole, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad(f"the content cannot be used: {error}") from error
    if len(found.by) > MOST_NAME or not NAMED.search(found.by):
        raise bad(f"by must say who asks, in 1 to {MOST_NAME} characters that can be seen")
    return found
