"""A video API behind hourpass, with Django and Django REST framework, in one file.

The middleware judges every request. The view's permission class says which scope it needs.
"""

import os
from wsgiref.simple_server import make_server

import django
from django.conf import settings

ISSUER = os.environ.get("HOURPASS_ISSUER", "http://127.0.0.1:3600")

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["hourpass.verifier.django.HourpassMiddleware"],
    HOURPASS={
        "issuer": ISSUER,
        "audience": os.environ.get("HOURPASS_AUDIENCE", ISSUER),
        "public": ["/health"],
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["hourpass.verifier.rest_framework.HourpassAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django wants its settings first
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from hourpass.verifier.django import configured  # noqa: E402
from hourpass.verifier.rest_framework import scope  # noqa: E402


def health(request: HttpRequest) -> JsonResponse:
    """Needs no token, and says how fresh the verifier's knowledge is."""
    status = configured().verifier.status()
    return JsonResponse({"keys": status.keys, "revocations": status.revocations})


class Videos(APIView):
    """The caller's videos."""

    permission_classes = [scope("videos.read")]  # noqa: RUF012 - Django REST framework's way

    def get(self, request: Request) -> Response:
        """All of them."""
        return Response({"owner": request.auth.sub, "videos": ["Harbour at dawn", "Night train"]})


urlpatterns = [path("health", health), path("videos", Videos.as_view())]
app = get_wsgi_application()

if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), app).serve_forever()
