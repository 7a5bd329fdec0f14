"""A laptop: nothing has to be set; a key is made and kept in the data folder."""

from marketplace.settings.base import *
from marketplace.settings.keys import read_keys

KEYS = read_keys(read, generated_in=DATA_DIR, strict=False)
JWT_KEYS = list(KEYS.ring)
SECRET_KEY = KEYS.secret_key
OTP_KEY = KEYS.otp_key

ALLOW_PRIVILEGED_SIGNUP = read.flag("ALLOW_PRIVILEGED_SIGNUP", default=True)
CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(localhost|127\.0\.0\.1)(:\d+)?$"]
