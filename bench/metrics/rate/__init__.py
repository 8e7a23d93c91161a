"""BD-rate and BD-quality of rate-distortion curves."""
