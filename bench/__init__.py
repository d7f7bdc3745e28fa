"""Benchmarks: each says what it shows, checks its result, and prints the machine, the date and the spread."""
