"""What runs inside the process of a task; the standard library only, until Spark is asked for."""
