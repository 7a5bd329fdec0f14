"""Settings, from the environment and `.env`: everything stands in `base`."""

from marketplace.settings.base import *  # noqa: F403  # Django reads this module's names
