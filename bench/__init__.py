"""Benchmarks: ratios inside one interleaved run, on server CPU per request. `make bench` runs all of it."""
