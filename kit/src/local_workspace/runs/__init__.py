"""Runs of jobs: the order of tasks, their parameters, and the processes that they run in."""
