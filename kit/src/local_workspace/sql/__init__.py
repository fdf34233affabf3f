"""SQL statements: the process that runs them, and its client in the server."""
