"""rtea-gen: generates a deterministic clickstream and its ground truth.

The model is in Rust (`rust_core/rtea-generator`). This package divides it among processes, controls the rate, sends the
events to Kafka and writes the manifest.
"""
