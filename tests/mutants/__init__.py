"""Tests of the tests: small faults in a copy of the sources, and whether any test notices (see README)."""
