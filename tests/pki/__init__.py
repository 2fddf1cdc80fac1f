"""Tests of csipd.pki."""
