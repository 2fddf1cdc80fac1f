"""Tests of csipd.reconcile."""
