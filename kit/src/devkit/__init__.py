"""The laptop's side: local Spark, event hub and storage, and deployment; never deployed itself."""

__version__ = "0.1.0"
