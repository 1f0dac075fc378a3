"""Benchmarks: how fast it is, beside what the same machine needs for the bare minimum at the same moment.

    python -m benchmarks                                             all of them, some minutes
    python -m benchmarks --quick ticks gate                          these two, small
    python -m benchmarks --profile --write docs/benchmarks.md        all of them, and the page with the figures

Rules:
- Every figure has its baseline, measured in the same run: ratios can be compared between machines, milliseconds cannot.
- Nothing is asserted about time. A goal is printed beside its figure, met or not; what fails a benchmark is only that
  the system did not do what was to be measured.
- Real parts only: a store of the run's own in a temporary folder, and real Celery workers and beat where one is needed.
- The garbage collector stays on, as it is in a worker.
"""
