"""What an update says: the event log, the graph."""
