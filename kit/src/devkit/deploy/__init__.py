"""Deployment: what exists in a workspace is declared in ``configuration/deploy``, planned, applied and pruned."""
