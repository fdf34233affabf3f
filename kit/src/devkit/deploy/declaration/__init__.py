"""From the files of a declaration to the desired state of one environment."""
