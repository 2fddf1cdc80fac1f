"""What is wrong with a value by the standard's text, beyond its schema and the ranges of its types.

Each function takes a value that `codec.check` passes and gives a list of `Flaw`: where, what was wrong, what
was expected. They are the only place where these rules stand, and every interface asks them: the
configuration, the operator's API (and so csipctl), commands by other ways, devices' own documents.

They are here and not in `der/` because they are the standard's, as the types are: they ask no clock, no
store and nobody's rights. They are not part of decoding, so that what an earlier version took and kept can
still be read.
"""

from __future__ import annotations

from csipd.sep2.rules.bits import category_flaws, reported_flaws, response_flaws
from csipd.sep2.rules.controls import (
    VAR_REFERENCES,
    base_flaws,
    control_flaws,
    default_flaws,
    link_flaws,
)
from csipd.sep2.rules.curves import Y_REFERENCES, curve_flaws
from csipd.sep2.rules.events import LATEST, LONGEST, timing_flaws
from csipd.sep2.rules.flaws import Flaw, Problem, errors, warnings
from csipd.sep2.rules.ratings import rating_doubts
from csipd.sep2.rules.registration import pin_flaws

__all__ = [
    "LATEST",
    "LONGEST",
    "VAR_REFERENCES",
    "Y_REFERENCES",
    "Flaw",
    "Problem",
    "base_flaws",
    "category_flaws",
    "control_flaws",
    "curve_flaws",
    "default_flaws",
    "errors",
    "link_flaws",
    "pin_flaws",
    "rating_doubts",
    "reported_flaws",
    "response_flaws",
    "timing_flaws",
    "warnings",
]
