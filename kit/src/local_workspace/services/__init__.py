"""The services of the API, a file each, and what only they need."""
