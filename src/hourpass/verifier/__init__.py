"""The side of your API: it verifies access tokens."""

from hourpass.core.claims import Claims, require_scope
from hourpass.verifier.revocations import Staleness, fail_closed, fail_open
from hourpass.verifier.verifier import Status, Verifier

__all__ = ["Claims", "Staleness", "Status", "Verifier", "fail_closed", "fail_open", "require_scope"]
