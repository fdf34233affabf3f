"""Flows at work: what their queries read, their expectations, what they write."""
