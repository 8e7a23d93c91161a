"""Plan, measure, decode in a second process, store."""
