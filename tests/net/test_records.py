"""The stream of TLS records, followed octet by octet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.records import WHOLE, Torn, after, application_records


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(body).to_bytes(2) + body


_bodies = st.binary(max_size=300)
_records = st.lists(st.builds(record, st.sampled_from((20, 21, 22, 23)), _bodies), max_size=6)


class ApplicationRecordsTests(SynchronousTestCase):
    """What is read the short way."""

    @given(st.lists(_bodies, min_size=1, max_size=6))
    def test_whole(self, bodies: list[bytes]) -> None:
        """Whole records of application data are counted, those without content too."""
        self.assertEqual(application_records(b"".join(record(23, each) for each in bodies)), len(bodies))

    @given(st.lists(_bodies, min_size=1, max_size=3), st.data())
    def test_torn(self, bodies: list[bytes], data: st.DataObject) -> None:
        """Cut anywhere but between two records there are none."""
        ends = []
        whole = b""
        for body in bodies:
            whole += record(23, body)
            ends.append(len(whole))
        cut = data.draw(st.integers(0, len(whole)))
        self.assertEqual(application_records(whole[:cut]), ends.index(cut) + 1 if cut in ends else 0)

    @given(_records)
    def test_others(self, records: list[bytes]) -> None:
        """Where one is of another kind there are none."""
        found = application_records(b"".join(records))
        self.assertEqual(found, len(records) if all(each[0] == 23 for each in records) else 0)


class AfterTests(SynchronousTestCase):
    """What a read leaves unfinished."""

    @given(_records, st.lists(st.integers(0, 1900), max_size=12))
    def test_cut(self, records: list[bytes], cuts: list[int]) -> None:
        """However the stream is cut into reads, it is known how much of the last record has come."""
        whole = b"".join(records)
        ends = [0]
        for each in records:
            ends.append(ends[-1] + len(each))
        torn, at = WHOLE, 0
        for cut in sorted({min(each, len(whole)) for each in cuts} | {len(whole)}):
            torn = after(torn, whole[at:cut])
            at = cut
            begun = max(end for end in ends if end <= cut)
            if begun == cut:
                self.assertIs(torn, WHOLE)
            elif cut - begun < 5:
                self.assertEqual(torn, Torn(head=whole[begun:cut]))
            else:
                self.assertEqual(torn, Torn(missing=min(end for end in ends if end > cut) - cut))

    @given(_records, st.binary(min_size=5), _records)
    def test_no_record(self, before: list[bytes], garbage: bytes, behind: list[bytes]) -> None:
        """What is no record has no end: behind it nothing is taken for whole."""
        if garbage[0] in range(20, 24):
            garbage = b"\x80" + garbage[1:]
        torn = after(WHOLE, b"".join(before) + garbage)
        for each in behind:
            torn = after(torn, each)
            self.assertIsNot(torn, WHOLE)
            self.assertGreater(torn.missing, 2**40)
