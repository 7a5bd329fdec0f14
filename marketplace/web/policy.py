"""The policies of pages where they have to be wider than for those of our own."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from marketplace.core.middleware import Middleware


class AdminPolicy(Middleware):
    """Lets the admin's theme evaluate its expressions and set styles inside its elements.

    Under `no-referrer` browsers send forms with `Origin: null`, which is what a forged one would
    have: the admin, the only place with forms, says `same-origin`.
    """

    WIDER = {"script-src": ["'unsafe-eval'"], "style-src": ["'unsafe-inline'"]}

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Tell django-csp, which writes the header, what this answer needs more."""
        if request.path.startswith("/admin/"):
            # What django-csp's own decorators set; a middleware reaches the sign-in page too.
            vars(response)["_csp_update"] = self.WIDER
            response["Referrer-Policy"] = "same-origin"
        return response
