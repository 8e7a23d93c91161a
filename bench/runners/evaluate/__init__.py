"""Rate and distortion: plan, encode, decode in a second process, store."""

DECODE_TIMEOUT_S = 900  # of a request; no decoder here takes minutes for one image
