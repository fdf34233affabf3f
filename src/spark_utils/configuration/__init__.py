"""The configuration of a job: options, arguments, values, secrets."""
