"""Django's own apps with the key type that MongoDB needs; settings take them on that engine."""

from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig

OBJECT_ID = "django_mongodb_backend.fields.ObjectIdAutoField"


class MongoAdminConfig(AdminConfig):
    """The admin."""

    default_auto_field = OBJECT_ID


class MongoAuthConfig(AuthConfig):
    """Groups and permissions."""

    default_auto_field = OBJECT_ID


class MongoContentTypesConfig(ContentTypesConfig):
    """Content types."""

    default_auto_field = OBJECT_ID
