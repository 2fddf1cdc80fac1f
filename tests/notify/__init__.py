"""Tests of what sends Notifications."""
