"""What runs on the laptop and in CI: runtimes, jars, the local event hub."""
