"""Benchmarks: the gateway beside its own bare parts, in the same run, on the same machine."""
