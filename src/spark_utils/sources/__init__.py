"""Where events come from: an event hub, or recorded files."""
