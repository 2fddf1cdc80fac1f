"""Makes ``twistd csipd`` known to twistd."""

from twisted.application.service import ServiceMaker

csipd = ServiceMaker("csipd", "csipd.daemon.tap", "IEEE 2030.5 / CSIP utility server", "csipd")
