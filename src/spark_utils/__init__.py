"""What runs on the cluster: source, parse, flatten, sink and preview of a streaming job."""
