"""The report of files that were decoded under other settings than they were encoded under."""
