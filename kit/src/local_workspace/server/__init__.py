"""The server: one application for all workspaces, their state, their routes."""
