"""Loaded into workers by `supervision_imports`; the tests themselves only read `faults.STEPS`."""

import faults

faults.install()
