"""The tests of csipd; they mirror its packages."""

import os

from hypothesis import settings

# Machines are shared and slow at times: how long an example takes says nothing about whether it is right. A
# build server tries the same examples each time; whoever works here tries new ones.
settings.register_profile("csipd", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("csipd")
