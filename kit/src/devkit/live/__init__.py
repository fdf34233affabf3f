"""What streams on this machine do, as they do it: kept by their processes, shown by `devkit page`."""
