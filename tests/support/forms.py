"""The forms of the operator's API: what its chapters declare."""

from __future__ import annotations

import sys

from csipd.sep2.schema import Element
from csipd.web.admin.table import OPERATIONS

#: All of them.
FORMS: tuple[type[Element], ...] = tuple(
    found
    for module in dict.fromkeys(one.run.__module__ for one in OPERATIONS)
    for found in vars(sys.modules[module]).values()
    if isinstance(found, type) and issubclass(found, Element) and found.__module__ == module
)
