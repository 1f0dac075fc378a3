"""How hard Hypothesis tries: quick by default, long with ``HYPOTHESIS_PROFILE=ci``.

By a variable and not by ``--hypothesis-profile``, which wants to know the profiles before this file is read.
"""

import os

from hypothesis import HealthCheck, settings

# The machine's speed is no property of ours, so nothing here has a deadline.
settings.register_profile("quick", deadline=None, max_examples=100, stateful_step_count=50)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=1000,
    stateful_step_count=100,  # at most 100,000 steps of each machine, and well above 10,000 in fact
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
