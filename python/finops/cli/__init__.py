"""The command line, `finops`. Nothing else in finops imports it."""
