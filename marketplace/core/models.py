"""What every row has, and the kernel's own tables."""

from django.db import models

from marketplace.core.clock import now
from marketplace.core.ids import uuid7


class BaseModel(models.Model):
    """A row with a UUIDv7 key made in Python, so that migrations are the same on every database."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: object, **kwargs: object) -> None:
        """Store the row; `updated_at` is this instant, also where only some fields are saved."""
        if not self._state.adding:
            self.updated_at = now()
            fields = kwargs.get("update_fields")
            if fields is not None:
                kwargs["update_fields"] = {*fields, "updated_at"}  # type: ignore[misc]  # iterable of names
        super().save(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature
