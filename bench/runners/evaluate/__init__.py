"""Rate and distortion: plan, encode, decode in a second process, store."""
