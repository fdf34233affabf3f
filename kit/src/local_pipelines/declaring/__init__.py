"""How a pipeline is declared: names, registry, decorators, Python files, what a SOURCE is."""
