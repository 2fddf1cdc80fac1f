"""`python -m tests.heavy [TEST...]`: the tests, or those named, with far more examples for each property.

For a night, not for every commit: 10,000 examples, not 100. A property that sets its own number keeps it.
"""

from __future__ import annotations

import sys

from hypothesis import HealthCheck, settings
from twisted.scripts.trial import run


def main() -> None:
    """Runs trial as `python -m twisted.trial` does, with hypothesis set to work longer."""
    settings.register_profile(
        "heavy", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("heavy")
    sys.argv = ["trial", "--rterrors", *(sys.argv[1:] or ["tests"])]
    run()


if __name__ == "__main__":
    main()
