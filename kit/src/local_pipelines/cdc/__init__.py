"""Change data capture: what AUTO CDC flows declare, and how it becomes rows of their targets."""
