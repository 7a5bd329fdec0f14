"""Django's entry for the pages: their templates and their static files."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Landing page, demo, inbox, documents."""

    name = "marketplace.web"
    verbose_name = "Pages"
