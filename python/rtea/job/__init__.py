"""The Flink job: its graph, its entry point, and its submission to a running cluster."""
