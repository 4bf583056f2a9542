"""What stands between processes and their servers in the campaign: connections that can be cut.

Clients keep the address they have while the server behind it goes away, is cut off, or is another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Self

CHUNK = 2**18


class Between:
    """A relay on loopback: a TCP port or a Unix socket in front of a server's.

    Args:
        front: where clients connect: a port, or the path of a socket that is made here.
        back: where the server listens; may be changed at any time, for connections made from then on.
    """

    def __init__(self, front: int | Path, back: int | Path) -> None:
        self.front = front
        self.back = back
        self._refusing = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Ends every connection that is open, both ways, without a word."""
        self._soon(self._abort)

    def refuse(self, refusing: bool) -> None:
        """Ends connections as they are made, or takes them again."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def hold(self, holding: bool) -> None:
        """Passes nothing on while connections stay open, as when a line is dead; or passes on again."""
        self._soon(self._passing.clear if holding else self._passing.set)

    def heal(self) -> None:
        """Passes everything on."""
        self.refuse(False)
        self.hold(False)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _soon(self, work: Callable[[], None]) -> None:
        async def done() -> None:
            work()

        self._do(done())

    def _abort(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _listen(self) -> None:
        self._passing.set()
        if isinstance(self.front, Path):
            self._server = await asyncio.start_unix_server(self._serve, self.front)
            self.front.chmod(0o777)  # a server of another user is a client here too
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.front)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        self._refusing = True
        self._passing.set()
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        beyond: asyncio.StreamWriter | None = None
        try:
            if self._refusing:
                return
            if isinstance(self.back, Path):
                answers, beyond = await asyncio.open_unix_connection(self.back)
            else:
                answers, beyond = await asyncio.open_connection("127.0.0.1", self.back)
            self._open.add(beyond)
            both = [
                asyncio.ensure_future(self._pass(reader, beyond)),
                asyncio.ensure_future(self._pass(answers, writer)),
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        except OSError:
            pass  # nobody listens behind
        finally:
            for end in (writer, beyond):
                if end is not None:
                    self._open.discard(end)
                    end.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()


def socket_of(folder: str | os.PathLike[str]) -> Path:
    """The Unix socket that PostgreSQL's clients look for in a folder."""
    return Path(folder) / ".s.PGSQL.5432"
