"""The local event hub: a real single-node Kafka broker that takes Event Hubs connection strings."""
