"""Tests of csipd.config."""
