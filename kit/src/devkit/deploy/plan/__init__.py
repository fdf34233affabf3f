"""From the desired and the actual state to actions: pure, without a server, a file or a clock."""
