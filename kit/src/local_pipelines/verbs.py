"""The verb that this package adds to the `devkit` command (entry point group ``devkit.commands``)."""

COMMANDS = {
    "pipeline": ("local_pipelines.commands", "declarative pipelines here: run, validate, graph, events, deploy")
}
