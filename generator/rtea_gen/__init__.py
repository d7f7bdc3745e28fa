"""rtea-gen: a deterministic clickstream with ground truth.

The model is Rust (`rust_core/rtea-generator`); this package shards it over processes, paces it,
sends it to Kafka and writes the manifest.
"""
