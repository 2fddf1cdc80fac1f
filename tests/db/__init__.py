"""Tests of csipd.db: the store, without HTTP."""
