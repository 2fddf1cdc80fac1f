"""Tests of csipd.net."""
