"""Names of people who act on a page, as browsers send them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta

from stream.web.pages import refuse_foreign
from stream.web.problems import ProblemError, bad, known

if TYPE_CHECKING:
    from fastapi import Request


LARGEST = 100_000
"""The most bytes of a request."""

MOST_NAME = 100
"""The most characters of a name."""

_UNSEEN = r"\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"

Name = Annotated[
    str,
    Meta(min_length=1, max_length=MOST_NAME, pattern=f"^[^{_UNSEEN}]*[^{_UNSEEN}\\s][^{_UNSEEN}]*$"),
]
"""A person's name in any script: something that can be seen, and nothing that cannot."""

Why = Annotated[str, Meta(max_length=2000)] | None
"""A reason, or none."""


class By(msgspec.Struct, forbid_unknown_fields=True):
    """Who says it."""

    by: Name


Said = TypeVar("Said", bound=By)


async def body_of(request: Request, kind: type[Said]) -> Said:
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
        return msgspec.json.decode(whole, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if str(error).endswith("`$.by`"):
            said = f"by must say who is asking, in 1 to {MOST_NAME} visible characters"
            raise bad(said) from error
        raise bad(f"the content cannot be used: {error}") from error
