"""What the benchmarks' workers supervise: one module per benchmark, imported by the worker and by who drives it."""
