"""A codec's rate-distortion curve, and every place that curves come from."""
