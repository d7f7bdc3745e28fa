"""Benchmarks: each says what it shows, asserts its result, and prints machine, date and spread."""
