"""Peer: djangorestframework-simplejwt with rotation and blacklist, in one file. Its users write such an API-key view.

`python simplejwt_project.py DATABASE API_KEY` makes the tables and the one user. A WSGI server then runs `application`
with PEERS_DATABASE set. It has HS256, its cheapest algorithm, SQLite in WAL mode that syncs no commit, and no
middleware.
"""

import hashlib
import os
import sys
from datetime import timedelta

import django
from django.conf import settings

DATABASE = sys.argv[1] if __name__ == "__main__" else os.environ["PEERS_DATABASE"]

settings.configure(
    SECRET_KEY="a secret of the bench, of at least fifty characters, alone",
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    MIDDLEWARE=[],
    LOGGING_CONFIG=None,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "pragma journal_mode=wal; pragma synchronous=normal; pragma cache_size=-65536;",
            },
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    },
    SIMPLE_JWT={
        "ACCESS_TOKEN_LIFETIME": timedelta(hours=1),
        "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
        "ROTATE_REFRESH_TOKENS": True,
        "BLACKLIST_AFTER_ROTATION": True,
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - only now can models be imported
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402
from rest_framework_simplejwt.views import TokenRefreshView  # noqa: E402


def digest(api_key):
    return hashlib.sha256(api_key.encode()).hexdigest()


class Exchange(APIView):
    """Turn an API key into a pair of tokens. The key's digest is the user's name, which has an index."""

    def post(self, request):
        try:
            user = User.objects.get(username=digest(request.data["apiKey"]))
        except User.DoesNotExist:
            raise AuthenticationFailed from None
        refresh = RefreshToken.for_user(user)
        return Response({"token_type": "Bearer", "access": str(refresh.access_token), "refresh": str(refresh)})


# The routes themselves and not a module's name, because granian imports this file under a name that Django cannot use.
settings.ROOT_URLCONF = (path("auth/api-key", Exchange.as_view()), path("auth/refresh", TokenRefreshView.as_view()))

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    User.objects.create(username=digest(sys.argv[2]))
else:
    application = get_wsgi_application()
