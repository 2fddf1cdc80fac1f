"""csipd: an IEEE 2030.5-2018 / CSIP utility server on Twisted."""
