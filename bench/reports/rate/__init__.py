"""The report of rate and distortion on one dataset."""
