"""What the authors of the variants claim, and what the stored rows say about it."""

from bench.claims.catalogue import Claim, load_claims

__all__ = ["Claim", "load_claims"]
