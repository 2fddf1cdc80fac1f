"""A client that follows every link, as one that knows no URI but the first.

What it finds is judged here as far as that is the same for every document: the schema, the root's href, the
members' hrefs, what a link to a list says of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen
from lxml import etree

from csipd.net.identity import Identity
from tests.support.client import Answer
from tests.support.schema import validate
from tests.support.world import NAMESPACE, World

#: As many members as anybody here has.
EVERYTHING = "?l=500"


@frozen
class Link:
    """A link or member that a document shows.

    :param name: of the element
    :param source: path of the document
    :param all: what it says of the list that it leads to; None for what is no list
    """

    name: str
    source: str
    href: str
    all: int | None


def links(source: str, document: bytes) -> Iterator[Link]:
    """All that has an href within a document, its root aside."""
    root = etree.fromstring(document)
    for element in root.iterdescendants():
        href = element.get("href")
        if href is not None:
            all = element.get("all")
            yield Link(element.tag, source, href, None if all is None else int(all))


def is_list(document: bytes) -> bool:
    return etree.fromstring(document).get("results") is not None


def walk(world: World, who: Identity, start: str = "/dcap") -> dict[str, Answer]:
    """GET everything that a caller is led to; the answer for each path asked, lists in full besides."""
    answers: dict[str, Answer] = {}
    ahead = [start]
    while ahead:
        path = ahead.pop()
        if path in answers:
            continue
        answer = answers[path] = world.get(who, path)
        if answer.status != 200:
            continue
        if is_list(answer.body) and not path.endswith(EVERYTHING):
            ahead.append(path + EVERYTHING)
        ahead += [link.href for link in links(path, answer.body)]
    return answers


def judge(path: str, answer: Answer) -> None:
    """See that an answer of 200 is one that every client can read. AssertionError says what is wrong."""
    body = answer.body
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/sep+xml", answer
    assert answer.headers["content-length"] == str(len(body)), answer
    assert not body.startswith(b"<?"), answer
    assert b"<" + etree.fromstring(body).tag.removeprefix(NAMESPACE).encode() in body[:80], answer
    validate(body)
    root = etree.fromstring(body)
    assert root.nsmap.get(None) == NAMESPACE.strip("{}"), answer
    assert root.get("href") == path.partition("?")[0], answer
    if is_list(body):
        members = root.findall("*")
        assert int(root.get("results")) == len(members) <= int(root.get("all")), answer
        name = root.tag.removesuffix("List")
        assert all(member.tag == name and member.get("href") for member in members), answer
    for element in root.iter("*"):
        assert element.prefix is None or not element.tag.startswith(NAMESPACE), answer
