"""The report of trainings."""
