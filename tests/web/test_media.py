"""What a client says that it takes and sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.web.media import AcceptedMedia, is_xml, wanted

ANYTHING = AcceptedMedia(xml=True, extensions=True)
BASE_ONLY = AcceptedMedia(xml=True, extensions=False)


class AcceptTests(SynchronousTestCase):
    """The Accept header (IEEE 2030.5-2018 5.6, 5.7.2)."""

    def assertWanted(self, xml: bool, *headers: str | None) -> None:
        for header in headers:
            self.assertEqual(wanted(header).xml, xml, header)

    def test_nothing(self) -> None:
        """A client that does not say takes anything."""
        self.assertEqual(wanted(None), ANYTHING)
        self.assertEqual(wanted(""), ANYTHING)

    def test_taken(self) -> None:
        """The standard's type, what covers it, and generic XML get XML."""
        self.assertWanted(
            True,
            "application/sep+xml",
            "application/sep+xml; level=-S1",
            "application/sep+xml;level=+S1;q=0.5",
            "APPLICATION/SEP+XML",
            "*/*",
            "application/*",
            "application/xml",
            "text/xml",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/sep-exi, application/sep+xml",
            " application/sep+xml , application/sep-exi ",
        )

    def test_not_taken(self) -> None:
        """Who takes EXI only gets no XML; who asks for something else gets it all the same (case A17)."""
        self.assertWanted(
            False,
            "application/sep-exi",
            "application/sep-exi;level=-S1",
            "application/sep+exi, application/exi;q=0.5",
            "application/sep-exi, application/json;q=0",
        )
        self.assertWanted(
            True,
            "application/json",
            "text/html",
            "image/*, text/html",
            "application/sep+xmlx",
            "sep+xml",
            ",",
            "\xff",
            "application/sep-exi, application/json",
        )

    def test_refused(self) -> None:
        """A type of quality zero is not asked for; where only EXI is left, it is asked for alone."""
        self.assertWanted(
            False,
            "application/sep+xml;q=0, application/sep-exi",
            "*/*;q=0.000, application/sep-exi",
        )
        self.assertWanted(
            True,
            "application/sep+xml;q=0",
            "*/*;q=0.000",
            "*/*;q=0, application/sep+xml",
            "application/xml;q=0, */*",
            "application/sep+xml;q=0.001",
            "application/sep-exi;q=0, application/sep+xml;q=1",
        )

    def test_level(self) -> None:
        """Who says -S1 gets no extensions, in whatever place it says so; who says +S1, or nothing, does."""
        for header in (
            "application/sep+xml; level=-S1",
            "application/sep+xml;level=-s1",
            'application/sep+xml; level="-S1"',
            "application/sep+xml; q=0.9; level=-S1",
            "application/sep+xml;level=-S1, */*",
            "*/*, application/sep+xml;level=-S1",
            "application/sep-exi;level=-S1, application/sep+xml;level=-S1",
            "application/sep-exi;level=-S1, */*",
        ):
            self.assertEqual(wanted(header), BASE_ONLY, header)
        for header in ("application/sep+xml", "application/sep+xml;level=+S1", "*/*"):
            self.assertEqual(wanted(header), ANYTHING, header)

    @given(st.text())
    def test_noise(self, header: str) -> None:
        """No header is an error, and who is sent nothing is sent no extensions."""
        self.assertFalse(wanted(header).extensions and not wanted(header).xml)


class ContentTypeTests(SynchronousTestCase):
    """The type of a body."""

    def test_taken(self) -> None:
        """XML in UTF-8, by the standard's name or a generic one, with parameters."""
        for header in (
            "application/sep+xml",
            "application/sep+xml; level=-S1",
            "application/sep+xml;charset=utf-8",
            'Application/SEP+XML; Charset="UTF-8"',
            "application/xml",
            "text/xml; charset=utf8",
        ):
            self.assertTrue(is_xml(header), header)

    def test_not_taken(self) -> None:
        """No type at all, EXI, other types, other character sets."""
        for header in (
            None,
            "",
            "application/sep-exi",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json",
            "application/*",
            "application/sep+xml; charset=iso-8859-1",
            "application/sep+xml; charset=utf-16",
        ):
            self.assertFalse(is_xml(header), header)

    @given(st.text())
    def test_noise(self, header: str) -> None:
        """No header is an error."""
        self.assertIn(is_xml(header), (True, False))
