"""The old name of `TokenVerifier`, for the issuer until it says the new one. Nothing else belongs here."""

from hourpass.verifier.token_verifier import TokenVerifier as Verifier

__all__ = ["Verifier"]
