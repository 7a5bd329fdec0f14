"""Password hashing for the suite."""

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class QuickBCryptHasher(BCryptSHA256PasswordHasher):
    """The product's hasher at its lowest cost: real hashes, a thousand times as fast."""

    rounds = 4
