"""The information model of IEEE 2030.5-2018: one class a schema type, one module a chapter.

Use it as `from csipd.sep2 import resources as r`: r.DERControl, r.EndDeviceList.
"""

# ruff: noqa: F403 - this package is all chapters in one name space, as the standard's schema is

from __future__ import annotations

from csipd.sep2.resources.base import *
from csipd.sep2.resources.billing import *
from csipd.sep2.resources.cfg import *
from csipd.sep2.resources.dcap import *
from csipd.sep2.resources.der import *
from csipd.sep2.resources.derprogram import *
from csipd.sep2.resources.di import *
from csipd.sep2.resources.drlc import *
from csipd.sep2.resources.edev import *
from csipd.sep2.resources.event import *
from csipd.sep2.resources.file import *
from csipd.sep2.resources.flowreservation import *
from csipd.sep2.resources.fsa import *
from csipd.sep2.resources.logevent import *
from csipd.sep2.resources.messaging import *
from csipd.sep2.resources.metering import *
from csipd.sep2.resources.mirror import *
from csipd.sep2.resources.network import *
from csipd.sep2.resources.prepayment import *
from csipd.sep2.resources.pricing import *
from csipd.sep2.resources.ps import *
from csipd.sep2.resources.pubsub import *
from csipd.sep2.resources.quantity import *
from csipd.sep2.resources.response import *
from csipd.sep2.resources.time import *
