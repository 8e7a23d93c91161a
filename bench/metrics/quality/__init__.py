"""How good a decoded picture is, as a metric of two 8-bit RGB images."""
