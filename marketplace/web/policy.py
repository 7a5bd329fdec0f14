"""The content security policy where it has to be wider than for pages of our own."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from marketplace.core.middleware import Middleware


class AdminPolicy(Middleware):
    """Lets the admin's theme evaluate its expressions and set styles inside its elements."""

    WIDER = {"script-src": ["'unsafe-eval'"], "style-src": ["'unsafe-inline'"]}  # noqa: RUF012

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Tell django-csp, which writes the header, what this answer needs more."""
        if request.path.startswith("/admin/"):
            response._csp_update = self.WIDER  # type: ignore[attr-defined]  # django-csp's own mark
        return response
