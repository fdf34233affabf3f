"""Helpers around a running stream: preview, progress, termination."""
