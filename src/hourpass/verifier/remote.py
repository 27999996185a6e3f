"""The old name of `hourpass.verifier.verifier`, kept for one version."""

import warnings

from hourpass.verifier.verifier import Status, Verifier

__all__ = ["Status", "Verifier"]

warnings.warn("use hourpass.verifier", DeprecationWarning, stacklevel=2)
