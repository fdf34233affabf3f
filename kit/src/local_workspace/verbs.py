"""The verbs that this package adds to the `devkit` command (entry point group ``devkit.commands``)."""

COMMANDS = {
    "workspace": ("local_workspace.commands", "a Databricks workspace on this machine: up, export, supported"),
    "rehearse": ("local_workspace.rehearsal", "a whole deployment on a workspace of this machine, step by step"),
}
