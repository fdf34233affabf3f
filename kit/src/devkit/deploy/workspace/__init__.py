"""The workspace itself: signing in, calls with retries, waiting, runs and recordings."""
