"""Loaded into workers by `supervision_imports`; the tests themselves only read `faults.STEPS`."""

import faults

from supervision import continuing

faults.install()
continuing.TURN_S = 0.0  # claims are held anew after each continuation, so that somebody can die at that, too
