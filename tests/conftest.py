"""Fixtures for all tests: the plug-ins that we ship to our users."""

pytest_plugins = ["spark_utils.testing", "devkit.testing", "devkit.storage.testing_azurite"]
