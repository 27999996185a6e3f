"""Django's settings, which a process has once: both files of tests that need them begin here."""

import django
from django.conf import settings


def configure(*, spectacular: bool = False) -> None:
    settings.configure(
        ROOT_URLCONF="tests.verifier.test_django",
        MIDDLEWARE=["hourpass.verifier.django.HourpassMiddleware"],
        ALLOWED_HOSTS=["*"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["hourpass.verifier.rest_framework.HourpassAuthentication"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
            **({"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"} if spectacular else {}),
        },
        INSTALLED_APPS=["drf_spectacular"] if spectacular else [],
    )
    django.setup()
