"""What the authors of the variants claim, and what the stored rows say about it."""

from bench.claims.catalogue import Claim, claims_file, load_claims

__all__ = ["Claim", "claims_file", "load_claims"]
