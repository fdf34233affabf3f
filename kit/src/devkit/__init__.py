"""What runs on the laptop and in CI: runtimes, jars, the local event hub, deployment."""

__version__ = "0.1.0"
