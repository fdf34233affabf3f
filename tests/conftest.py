"""Fixtures for all tests: the plug-in that we ship to our users."""

pytest_plugins = ["spark_utils.testing"]
