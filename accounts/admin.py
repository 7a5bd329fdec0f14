"""People and their sign-ins, as staff see them."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm

from accounts.admin_sign_in import SignInForm
from accounts.authentication import actor_of
from accounts.enums import EndReason, Role
from accounts.models import AuthSession, User
from accounts.services import profiles, sessions
from marketplace.core.admin import HistoryAdmin, StaffAdmin, column, operation
from marketplace.core.clock import now
from marketplace.core.db import atomic, transactional
from marketplace.core.limits import request_address
from marketplace.events.audit import record_audit

admin.site.login_form = SignInForm

ROLE_COLOURS = {"user": "info", "employee": "warning", "courier": "success", "admin": "danger"}


class PasswordForm(AdminPasswordChangeForm):
    """Sets a password; who is signed in with the old one is so no longer."""

    def save(self, commit: bool = True) -> User:
        """Store the password, end the user's sessions."""
        with atomic():
            user: User = super().save(commit=commit)
            sessions.end_all(user=user, reason=EndReason.PASSWORD_CHANGED)
        return user


@admin.register(User)
class UserAdmin(DjangoUserAdmin, StaffAdmin):  # type: ignore[type-arg]  # no generic at run time
    """People. They sign up themselves; staff are made by `manage.py create_staff`."""

    form = UserChangeForm
    change_password_form = PasswordForm
    list_display = ("person", "email", "phone_number", "role_label", "is_active", "created_at")
    list_filter = ("role", "is_active", "is_staff")
    ordering = ("-created_at", "-id")
    search_fields = (
        "email__istartswith",
        "username_key__startswith",
        "phone_number__startswith",
        "name__istartswith",
        "public_id__exact",
    )
    search_help_text = (
        "The beginning of an e-mail address, user name, name or phone, or a whole id."
    )
    text_key_fields = ("public_id",)
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("public_id", "name", "username", "email", "phone_number", "password")}),
        ("Rights", {"fields": ("role", "side", "is_staff", "is_superuser", "is_active")}),
        (
            "Dates",
            {
                "fields": (
                    "created_at",
                    "updated_at",
                    "last_login",
                    "email_verified_at",
                    "phone_verified_at",
                )
            },
        ),
    )
    # Proven by a code or a link, never by hand; what follows from the role or goes by the actions.
    readonly_fields = (
        "public_id",
        "phone_number",
        "is_staff",
        "is_superuser",
        "is_active",
        "created_at",
        "updated_at",
        "last_login",
        "email_verified_at",
        "phone_verified_at",
    )
    actions = ("end_sessions", "deactivate", "reactivate")

    @column("Person", header=True, ordering="name")
    def person(self, user: User) -> tuple[str, str]:
        """The name, and the user name below it."""
        return (user.name or user.username or "-", user.username or user.public_id)

    @column("Role", ordering="role", colours=ROLE_COLOURS)
    def role_label(self, user: User) -> str:
        """The stored role, in its colour."""
        return user.role

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: signing up makes the person's topic too."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: people are erased by the job that erases them everywhere."""
        return False

    def save_model(
        self, request: HttpRequest, obj: User, form: "ModelForm[User]", change: bool
    ) -> None:
        """Store the change with its audit entry; a new role goes through its service."""
        changed = sorted(set(form.changed_data) - {"role"})
        wanted = Role(obj.role)
        obj.role = form.initial.get("role", obj.role)
        with atomic():
            if changed:
                obj.email = obj.email.strip().lower() if obj.email else None
                obj.username = obj.username or None
                obj.save()
                record_audit(
                    actor_id=self.actor_id(request),
                    action="user.changed",
                    target=f"user:{obj.public_id}",
                    details={"fields": changed},
                    address=request_address(request),
                )
            profiles.change_role(
                actor=actor_of(request), user=obj, role=wanted, address=request_address(request)
            )

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002  # Django's name, given by keyword
        form_url: str = "",
    ) -> HttpResponse:
        """Set a password, end the sessions, write both down: all of it or nothing."""
        with atomic():
            return super().user_change_password(request, id, form_url)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Django's own note of a change; a new password is in the audit too."""
        match = request.resolver_match
        if match is not None and match.url_name == "auth_user_password_change":
            record_audit(
                actor_id=self.actor_id(request),
                action="user.password_changed",
                target=f"user:{obj.public_id}",
                address=request_address(request),
            )
        return super().log_change(request, obj, message)

    @operation("Sign the chosen people out everywhere")
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Every living session of these people ends, on every device."""
        ended = sum(
            _end_all(user, actor_id=self.actor_id(request), address=request_address(request))
            for user in queryset.order_by("pk")
        )
        self.message_user(request, f"{ended} sessions ended.", messages.SUCCESS)

    @operation("Deactivate the chosen people")
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """They cannot sign in any more, and who is signed in is so no longer."""
        chosen = queryset.filter(is_active=True).exclude(pk=actor_of(request).pk).order_by("pk")
        actor, address = actor_of(request), request_address(request)
        people = [
            profiles.deactivate_user(actor=actor, user=user, address=address) for user in chosen
        ]
        self.message_user(request, f"{len(people)} deactivated.", messages.SUCCESS)

    @operation("Reactivate the chosen people")
    def reactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """They may sign in again."""
        chosen = queryset.filter(is_active=False).order_by("pk")
        actor, address = actor_of(request), request_address(request)
        people = [
            profiles.activate_user(actor=actor, user=user, address=address) for user in chosen
        ]
        self.message_user(request, f"{len(people)} reactivated.", messages.SUCCESS)


class EndedFilter(admin.SimpleListFilter):
    """Living sessions, or those that have ended."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Alive or ended."""
        return [("alive", "Alive"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By `ended_at` and the end of its tokens."""
        if self.value() == "alive":
            return queryset.filter(ended_at__isnull=True, expires_at__gt=now())
        if self.value() == "ended":
            return queryset.exclude(ended_at__isnull=True, expires_at__gt=now())
        return queryset


@admin.register(AuthSession)
class AuthSessionAdmin(HistoryAdmin):
    """Sign-ins."""

    list_display = (
        "user",
        "state",
        "issuer",
        "address",
        "created_at",
        "last_used_at",
        "expires_at",
    )
    list_filter = (EndedFilter, "issuer", "end_reason")
    list_select_related = ("user",)
    ordering = ("-created_at", "-id")
    search_fields = ("user__email__exact", "user__phone_number__exact", "address__exact")
    search_help_text = "The id of a session or a user, a whole e-mail address, phone or address."
    key_fields = ("pk", "user_id")
    text_key_fields = ("user__public_id",)
    fields = (
        "id",
        "user",
        "state",
        "issuer",
        "address",
        "user_agent",
        "created_at",
        "last_used_at",
        "expires_at",
        "ended_at",
        "end_reason",
    )
    readonly_fields = fields
    actions = ("end_chosen",)

    @column("State", colours={"alive": "success", "expired": "warning", "ended": "danger"})
    def state(self, session: AuthSession) -> str:
        """Whether it gives a right."""
        if session.ended_at is not None:
            return "ended"
        return "alive" if session.expires_at > now() else "expired"

    @operation("End the chosen sessions")
    def end_chosen(self, request: HttpRequest, queryset: QuerySet[AuthSession]) -> None:
        """Their tokens are refused and their sockets closed."""
        ended = 0
        for session in queryset.select_related("user").order_by("pk"):
            ended += _end_one(
                session, actor_id=self.actor_id(request), address=request_address(request)
            )
        self.message_user(request, f"{ended} sessions ended.", messages.SUCCESS)


@transactional
def _end_all(user: User, *, actor_id: str, address: str) -> int:
    ended = sessions.end_all(user=user, reason=EndReason.LOGOUT_ALL)
    record_audit(
        actor_id=actor_id,
        action="user.signed_out",
        target=f"user:{user.public_id}",
        details={"sessions": ended},
        address=address,
    )
    return ended


@transactional
def _end_one(session: AuthSession, *, actor_id: str, address: str) -> bool:
    if not sessions.end_session(session_id=session.pk):
        return False
    record_audit(
        actor_id=actor_id,
        action="session.ended",
        target=f"session:{session.pk}",
        details={"user_id": session.user.public_id},
        address=address,
    )
    return True
