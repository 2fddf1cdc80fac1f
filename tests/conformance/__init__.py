"""The CSIP conformance test procedures, as far as they concern a server: see docs/conformance.md."""
