"""How a client of the simulator asks the server: documents, lists by pages, and what it sends.

Whatever is not answered as it was hoped for is an exception; who asks says what comes of that.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sim.counts import Counts
from csipd.sim.http import Answer, HTTPClient

R = TypeVar("R", bound=r.Resource)

#: Members that are asked for with one page of a list.
PAGE: Final = 255
#: Statuses of what is at another URI.
_MOVED: Final = (301, 302, 307, 308)
#: An absolute path: neither another server's (//) nor what is no URI.
_PATH: Final = re.compile(r"/(?!/)[!-~]{0,254}")


class Refused(Exception):
    """An answer with a status that was not hoped for."""

    def __init__(self, method: str, what: str, status: int) -> None:
        super().__init__(f"{method} of {what} was answered {status}")
        self.status = status


def _elsewhere(answer: Answer) -> str | None:
    """Where on the same server a document is that has moved; None: another server is not followed to."""
    return answer.location if _PATH.fullmatch(answer.location or "") else None


class Asking:
    """Whoever asks, and what was asked is counted."""

    def __init__(self, client: HTTPClient, counts: Counts) -> None:
        self.client = client
        self.counts = counts

    async def get(self, path: str, kind: type[R]) -> R:
        """A document. Refused, Unanswered, DocumentError."""
        answer = await self.client.request("GET", path)
        if answer.status in _MOVED and (there := _elsewhere(answer)) is not None:
            answer = await self.client.request("GET", there)
        if answer.status != 200:
            raise Refused("GET", kind.__name__, answer.status)
        found = codec.decode(answer.body, kind)
        assert isinstance(found, kind)
        self.counts.polls += 1
        return found

    async def members(self, href: str, kind: type[Any]) -> tuple[Any, list[Any]]:
        """A list's last page, and all of its members, read by pages."""
        found: list[Any] = []
        while True:
            page = await self.get(f"{href}?s={len(found)}&l={PAGE}", kind)
            members = getattr(page, kind.__name__.removesuffix("List"))
            found += members
            if len(found) >= page.all or not members:
                return page, found

    async def send(self, method: str, path: str, document: r.Resource) -> Answer:
        """PUT or POST a document; what it was answered, if that is good. Refused, Unanswered."""
        answer = await self.client.request(method, path, codec.encode(document))
        if not answer.is_good:
            raise Refused(method, type(document).__name__, answer.status)
        return answer
