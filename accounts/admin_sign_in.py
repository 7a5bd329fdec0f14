"""The door of `/admin`: e-mail and password, and a limit to guessing them."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AuthenticationForm

from accounts.errors import LoginLocked
from accounts.models import User
from accounts.services import password_tries
from marketplace.core.db import atomic
from marketplace.core.limits import request_address
from marketplace.events.audit import record_audit


class SignInForm(AuthenticationForm):
    """Django's form; each try counts before the password is compared."""

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """The right password of a member of staff. Raises ValidationError, also when locked."""
        identity, password = (self.cleaned_data.get(name) for name in ("username", "password"))
        if not identity or not password:
            return dict(super().clean())
        address = request_address(self.request)
        try:
            tried = password_tries.begin_try(identity=identity, address=address)
        except LoginLocked as error:
            self.request.refused_sign_in = error
            raise ValidationError(error.message, code=error.code) from None
        values = dict(super().clean())
        password_tries.mark_proven(tried)
        _write_down(self.get_user(), address=address)
        return values


def _write_down(user: User, *, address: str) -> None:
    with atomic():
        record_audit(
            actor_id=user.public_id,
            action="admin.signed_in",
            target=f"user:{user.public_id}",
            address=address,
        )


def sign_in(request: HttpRequest) -> HttpResponseBase:
    """`/admin/login/`: Django's page; 429 with `Retry-After` while guessing is locked out."""
    if REDIRECT_FIELD_NAME not in request.GET:
        # The theme's form does not carry it, and Django's default is a page that is not here.
        query = request.GET.copy()
        query[REDIRECT_FIELD_NAME] = reverse("admin:index")
        request.GET = query  # type: ignore[assignment]  # a changed copy of what came
    response: HttpResponseBase = admin.site.login(request)
    refusal = getattr(request, "refused_sign_in", None)
    if isinstance(refusal, LoginLocked):
        response.status_code = refusal.status
        response["Retry-After"] = str(refusal.retry_after)
    return response
