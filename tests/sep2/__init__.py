"""Tests of csipd.sep2."""
