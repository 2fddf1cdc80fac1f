"""Stored documents with the server's attributes: to the octet what decoding and encoding gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.schema import fields
from csipd.sep2.site import SERVED, bare, children
from csipd.sep2.splicing import spliced
from tests.support.examples import fewer
from tests.support.instances import instances

#: The documents that devices have and that link to nothing.
ROWS = [
    row
    for row in SERVED.values()
    if not row.is_list
    and not any(child.on for child in children(row))
    and issubclass(row.resource_type, r.Resource)
]
FOREIGN = (
    '<x:note xmlns:x="urn:maker"><x:a>1</x:a></x:note>',
    '<n xmlns="urn:other">&lt;</n>',
)


class SplicingTests(SynchronousTestCase):
    """Any document, with and without extensions."""

    @fewer(3)
    @given(st.data())
    def test_equal(self, data: st.DataObject) -> None:
        """What is spliced is what would be given otherwise; what is not spliced has a reason not to be."""
        row = data.draw(st.sampled_from(ROWS))
        kind: Any = row.resource_type
        value = bare(row, data.draw(instances(kind)))
        kept = data.draw(st.lists(st.sampled_from(FOREIGN), max_size=2, unique=True))
        if kept:
            value = value.replace(extensions=tuple(kept))
        href = row.href(tuple(range(1, row.depth + 1)))
        rate = (
            data.draw(st.integers(1, 10**6)) if "pollRate" in {field.name for field in fields(kind)} else None
        )
        body = codec.encode(value, extensions=True)
        for extensions in (False, True):
            found = spliced(body, kind, href, rate, extensions=extensions)
            more = {"href": href} if rate is None else {"href": href, "pollRate": rate}
            expected = codec.encode(codec.decode(body, kind).replace(**more), extensions=extensions)
            if found is not None:
                self.assertEqual(found, expected)
            elif not value.extensions:
                attributes = [field.name for field in fields(kind) if field.attribute]
                empty = body.endswith(b"/>") and body.count(b"<") == 1
                odd = empty or b"xmlns" in body[body.find(b">") :] or body.count(b"xmlns") > 1
                self.assertTrue(odd or any(name in value.__dict__ for name in attributes), body)

    def test_other_editions(self) -> None:
        """Elements that the 2023 edition added are taken off for those who are not to have them."""
        element = '<manufacturerStatus2 xmlns="urn:x">1</manufacturerStatus2>'
        value = r.DERStatus(readingTime=1).replace(extensions=(element,))
        body = codec.encode(value, extensions=True)
        self.assertIsNone(spliced(body, r.DERStatus, "/edev/1/der/1/ders", 900, extensions=False))
        found = spliced(body, r.DERStatus, "/edev/1/der/1/ders", 900, extensions=True)
        assert found is not None
        self.assertIn(element.encode(), found)

    def test_derived(self) -> None:
        """A document of another class, or with attributes, is left to the codec."""
        response = codec.encode(
            r.DERControlResponse(endDeviceLFDI="A" * 40, subject="B" * 32), extensions=True
        )
        self.assertIsNone(spliced(response, r.Response, "/rsps/1/rsp/1", None, extensions=True))
        status = codec.encode(r.DERStatus(readingTime=1).replace(href="/x"), extensions=True)
        self.assertIsNone(spliced(status, r.DERStatus, "/edev/1/der/1/ders", None, extensions=True))
