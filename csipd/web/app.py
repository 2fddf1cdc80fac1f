"""The Klein app, made from the resource table: a route for every resource there is, to one handler.

It is the endpoint's adapter: a twisted request becomes an `Ask`, an `Answer` what a request writes.
"""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from csipd.sep2 import site
from csipd.sep2.layout import Layout
from csipd.sep2.site import Place, Row
from csipd.web.answers import Answer
from csipd.web.endpoint import Answerer, Ask
from csipd.web.server import Request


class Application:
    """The resources of the standard as a resource tree.

    :param answer: the endpoint
    :param layout: where the resources are
    """

    def __init__(self, answer: Answerer, layout: Layout = Layout()) -> None:  # noqa: B008 - frozen
        self._answer = answer
        self._layout = layout
        self._klein = Klein()
        for row in site.SERVED.values():
            self._route(row)
        if layout.dcap.row not in site.SERVED.values():
            self._route(layout.dcap.row, "DeviceCapability, moved")
        unrouted: Any = self._unrouted  # Klein's type would have a request of its own
        self._klein.handle_errors(HTTPException)(unrouted)

    def resource(self) -> IResource:
        """The root of the resource tree."""
        resource: IResource = self._klein.resource()
        return resource

    def _route(self, row: Row, name: str | None = None) -> None:
        def handle(request: Request, **ids: str) -> Any:
            place = self._layout.locate(request.path.decode("ascii", "replace"))
            # Where it is not the row's, it is another spelling: a trailing slash, an escape, a leading zero.
            return self._handle(request, place if place is not None and place.row is row else None)

        # Endpoints of one name would silently serve each other's URLs: the row's name is unique.
        rule = row.uri.replace("{", "<").replace("}", ">")
        self._klein.route(rule, endpoint=name or row.name, strict_slashes=False)(handle)

    def _unrouted(self, request: Request, failure: Failure) -> bytes | Deferred[bytes]:
        """No route leads there."""
        return self._handle(request, None)

    def _handle(self, request: Request, place: Place | None) -> bytes | Deferred[bytes]:
        content = request.content.read() if request.content is not None else b""
        answer = self._answer(
            Ask(
                request.peer,
                request.method.decode("latin-1"),
                place,
                request.uri.partition(b"?")[2].decode("ascii", "replace"),
                request.header(b"Accept"),
                request.header(b"Content-Type"),
                content if request.withheld is None else request.withheld,
            )
        )
        if isinstance(answer, Answer):
            return request.take(answer)
        # When a client hangs up Klein cancels what it was given. What was asked of the store is carried out
        # all the same, and what comes of it is logged and noted: so it is given another Deferred.
        given: Deferred[Answer] = Deferred()
        answer.chainDeferred(given)
        return given.addCallback(request.take)
