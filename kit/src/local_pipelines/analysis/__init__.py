"""What a pipeline would do, found out without writing anything."""
