"""Settings, from the environment and `.env`, in the profile that MARKETPLACE_ENV names.

A setting that cannot be used ends the process with one line that names it.
"""

import sys

from marketplace.settings.reading import SettingsError

try:
    from marketplace.settings import base

    if base.PROFILE == "production":
        from marketplace.settings.production import *
    elif base.PROFILE == "test":
        from marketplace.settings.test import *
    else:
        from marketplace.settings.local import *
except SettingsError as error:
    sys.exit(f"marketplace: {error}")
