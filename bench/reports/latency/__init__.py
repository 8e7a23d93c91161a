"""The report of what variants cost on one device."""
