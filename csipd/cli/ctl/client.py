"""The operator's API as a client sees it: requests, pages, and errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from attrs import frozen

from csipd.cli.ctl.errors import Failure, ServerFailed

JSON = "application/json"
PROBLEM = "application/problem+json"

PAGE_MAXIMUM = 500
"""Longest page that the API gives (docs/api.md)."""

_SHOWN_ERRORS = 10
_SHOWN_TEXT = 300

Query = Mapping[str, str | int | bool | None]
Value = dict[str, Any]


@frozen
class Answer:
    """What came back: status, media type without parameters, and the body."""

    status: int
    media_type: str
    body: bytes


class Transport(Protocol):
    """Carries one request to the server and its answer back. Raises Unreachable and ServerFailed."""

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """`target` is path and query, in ASCII."""
        ...

    def stream(self, target: str, headers: Mapping[str, str], take: Callable[[bytes], None]) -> Answer:
        """GET what may be of any length: the body of a good answer is handed over as it comes.

        What was handed over is whole once this returns.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@frozen
class Document:
    """A JSON object of the API, and the same as it came."""

    raw: bytes
    value: Value


class Client:
    """The API below /admin. Functions raise Failure for what the server refuses, with its reasons."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, path: str, **query: str | int | bool | None) -> Document:
        """GET; what is None is left out of the query."""
        return self._request("GET", path, query=query)

    def post(
        self, path: str, content: Value | None = None, key: str | None = None, query: Query | None = None
    ) -> Document:
        """POST, with an Idempotency-Key if one is given."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._request("POST", path, content or {}, query=query, headers=headers)

    def put(self, path: str, content: Value) -> Document:
        return self._request("PUT", path, content)

    def patch(self, path: str, content: Value) -> Document:
        return self._request("PATCH", path, content)

    def delete(self, path: str) -> Document:
        return self._request("DELETE", path)

    def pages(self, path: str, query: Query, after: int | None = None) -> Iterator[Document]:
        """All pages of a list, the longest there are."""
        while True:
            page = self.get(path, **{**query, "limit": PAGE_MAXIMUM, "after": after})
            yield page
            following = page.value.get("next")
            if following is None:
                return
            if following == after:
                raise ServerFailed(f"{path}: a page of the list names itself as the next one")
            after = following

    def stream(self, path: str, query: Query, take: Callable[[bytes], None]) -> None:
        """GET what comes in portions; `take` is given its octets as they come.

        What was taken is whole once this returns; where it fails it is not.
        """
        target = f"/admin{path}{query_text(query)}"
        answer = self._transport.stream(target, {"Accept": f"{JSON}, text/csv, {PROBLEM}"}, take)
        if not 200 <= answer.status < 300:
            document_of(answer)

    def rows(self, path: str) -> list[Value]:
        """The rows of what comes in portions and is known to have few."""
        parts: list[bytes] = []
        self.stream(path, {"format": "json"}, parts.append)
        try:
            found = json.loads(b"".join(parts))
        except ValueError as error:
            raise ServerFailed(f"the answer is no JSON: {error}") from None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ServerFailed("the answer is JSON, and no array of objects")
        return found

    def _request(
        self,
        method: str,
        path: str,
        content: Value | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        sent = {"Accept": f"{JSON}, {PROBLEM}", **(headers or {})}
        body = None
        if content is not None:
            sent["Content-Type"] = JSON
            body = json.dumps(content).encode()
        answer = self._transport.send(method, f"/admin{path}{query_text(query or {})}", sent, body)
        return document_of(answer)


def query_text(query: Query) -> str:
    """`?a=1&b=true`, without what is None; nothing if all of it is."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return f"?{urlencode(given)}" if given else ""


def document_of(answer: Answer) -> Document:
    """The object in a good answer; {} where it has nothing to say. Failure for every other answer."""
    if 200 <= answer.status < 300:
        if not answer.body.strip():
            return Document(b"{}", {})
        if answer.media_type == JSON:
            return Document(answer.body.strip(), _object(answer))
    elif answer.media_type == PROBLEM:
        raise _problem(answer.status, _object(answer))
    if answer.status >= 500:
        raise ServerFailed(f"the server failed with status {answer.status}")
    kind = Failure if 400 <= answer.status < 500 else ServerFailed
    raise kind(
        f"status {answer.status} and no JSON: this is not the operator's API."
        " Is the port that of admin_port, and not the devices'?"
    )


def _object(answer: Answer) -> Value:
    try:
        value = json.loads(answer.body)
    except RecursionError:
        raise ServerFailed("the answer is nested deeper than anything the API gives") from None
    except ValueError as error:
        raise ServerFailed(f"the answer is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ServerFailed("the answer is JSON, and no object")
    return value


def _problem(status: int, problem: Value) -> Failure:
    """A problem document (RFC 9457) in one line: what is wrong, and where."""
    reason = str(problem.get("detail") or problem.get("title") or "no reason is given")
    said = [reason[:_SHOWN_TEXT].rstrip(".")]
    errors = problem.get("errors")
    errors = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    for one in errors[:_SHOWN_ERRORS]:
        parts = [str(one[name])[:_SHOWN_TEXT] for name in ("pointer", "parameter", "detail") if one.get(name)]
        said.append(": ".join(parts))
    if len(errors) > _SHOWN_ERRORS:
        said.append(f"and {len(errors) - _SHOWN_ERRORS} more")
    line = f"{'; '.join(said)} ({status})"
    return Failure(line) if 400 <= status < 500 else ServerFailed(line)
