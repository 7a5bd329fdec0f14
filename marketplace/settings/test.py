"""The suite: real code on a database of its own, with folders of its own and quick passwords."""

import atexit
import shutil
import tempfile
from pathlib import Path

from marketplace.settings.base import *
from marketplace.settings.databases import sqlite_pragmas
from marketplace.settings.keys import read_keys

if read.optional("DATA_DIR") is None:
    DATA_DIR = Path(tempfile.mkdtemp(prefix="marketplace-test-"))
    atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)
    SMS_SINK = read.path("SMS_SINK", "sms.jsonl", base=DATA_DIR)
    EMAIL_SINK = read.path("EMAIL_SINK", "email.jsonl", base=DATA_DIR)

KEYS = read_keys(read, generated_in=DATA_DIR, strict=False)
JWT_KEYS = list(KEYS.ring)
SECRET_KEY = KEYS.secret_key
OTP_KEY = KEYS.otp_key

ALLOW_PRIVILEGED_SIGNUP = read.flag("ALLOW_PRIVILEGED_SIGNUP", default=True)
ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]
CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(localhost|127\.0\.0\.1)(:\d+)?$"]
PASSWORD_HASHERS = ["marketplace.tests.hashers.QuickBCryptHasher", *PASSWORD_HASHERS]

if DATABASE_ENGINE == "sqlite":
    # A file, because the threads of a race test could not wait for each other in a shared memory
    # database; unsynchronised, because no test outlives the machine's power.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = sqlite_pragmas(synchronous="OFF")
