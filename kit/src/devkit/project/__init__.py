"""The verbs around a project: tables, rehearsal, configuration, schemas."""
