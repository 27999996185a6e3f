"""What drf-spectacular writes about our authentication class. It is loaded by itself if you use drf-spectacular."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class HourpassScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A bearer token, described as on FastAPI's page of the same API."""

    target_class = "hourpass.verifier.rest_framework.HourpassAuthentication"
    match_subclasses = True
    name = "hourpass"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The scheme (OpenAPI 3.0, Security Scheme Object)."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of `POST /auth/api-key`, good for an hour.",
        }
