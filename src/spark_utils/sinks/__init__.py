"""Where rows go: two Delta tables, their checkpoint and their storage."""
