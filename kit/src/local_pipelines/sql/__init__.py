"""Pipelines in SQL: statements, clauses, and the tables that a query names."""
