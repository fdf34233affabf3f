"""The reader of bodies without a JVM: Arrow first, the reference for what it refuses."""
