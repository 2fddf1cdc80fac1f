"""Tests of csipd.daemon."""
