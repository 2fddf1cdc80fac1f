"""Default controls as facts."""

from __future__ import annotations

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts
from csipd.cli.ctl.views.cells import text
from csipd.der.wording import value_text


def default(one: Value) -> Facts:
    """A DefaultDERControl: its modes, then what only it sets."""
    base = one.get("DERControlBase", {})
    pairs = [("Description", text(one.get("description"))), ("mRID", text(one.get("mRID")))]
    pairs += [(name, value_text(name, value)) for name, value in base.items()]
    pairs += [(name, value_text(name, value)) for name, value in one.items() if name.startswith("set")]
    return Facts(tuple(pairs))
