"""A storage account on this machine: Azurite."""
