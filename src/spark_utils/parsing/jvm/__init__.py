"""The reader of bodies in the JVM, where a session lets it in."""
