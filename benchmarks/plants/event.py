"""Some gauges that nothing observes and no beat ticks: they change when the benchmark says so."""

from benchmarks.crowd import Gauge
from supervision import Supervisor

CHILDREN = 20

event = Supervisor("event", [Gauge(f"gauge-{i}") for i in range(CHILDREN)], interval=600.0, stale_after=6000.0)
