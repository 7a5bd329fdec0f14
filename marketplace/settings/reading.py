"""Typed reading of settings: from the environment, then from `.env`; an empty value is unset."""

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
PROFILE_NAMES = ("MARKETPLACE_ENV", "NODE_ENV", "MIX_ENV")


class SettingsError(ImproperlyConfigured):
    """A setting that stops the start; its text is the one line that is shown."""


class Reader:
    """Reads named values, each as the type that is due, and remembers which names it was asked for.

    Every name is read at every start, whatever the others hold: so `.env.example` can be compared
    with `names`.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value.strip()}
        self.names: set[str] = set()

    def optional(self, name: str) -> str | None:
        """The text, or None where it is unset."""
        self.names.add(name)
        value = self._values.get(name)
        return None if value is None else value.strip()

    def text(self, name: str, default: str = "") -> str:
        """The text, or the default."""
        value = self.optional(name)
        return default if value is None else value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false in any of the usual words. Raises SettingsError for other words."""
        value = self.optional(name)
        if value is None:
            return default
        if value.lower() in TRUE_WORDS:
            return True
        if value.lower() in FALSE_WORDS:
            return False
        raise SettingsError(f"{name} must be true or false, not {value!r}")

    def whole(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A whole number within its bounds. Raises SettingsError for anything else."""
        value = self.optional_whole(name, least=least, most=most)
        return default if value is None else value

    def optional_whole(self, name: str, *, least: int = 0, most: int | None = None) -> int | None:
        """The same, or None where it is unset."""
        value = self.optional(name)
        if value is None:
            return None
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f"{name} must be a whole number, not {value!r}") from None
        if number < least or (most is not None and number > most):
            bounds = f"at least {least}" if most is None else f"{least} to {most}"
            raise SettingsError(f"{name} must be {bounds}, not {number}")
        return number

    def seconds(self, name: str, default: float) -> float:
        """A length of time in seconds, from 0 up, with a fraction where one is given."""
        return float(self.decimal(name, str(default)))

    def decimal(self, name: str, default: str) -> Decimal:
        """An exact number from 0 up. Raises SettingsError for anything else."""
        value = self.text(name, default)
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise SettingsError(f"{name} must be a number, not {value!r}") from None
        if not number.is_finite() or number < 0:
            raise SettingsError(f"{name} must be a number from 0 up, not {value!r}")
        return number

    def decimal_or_none(self, name: str, default: str) -> Decimal | None:
        """The same, or None for the word `none`."""
        if self.text(name, default).lower() == "none":
            return None
        return self.decimal(name, default)

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of the words, in any case. Raises SettingsError for another one."""
        value = self.text(name, default).lower()
        if value not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return value

    def items(self, name: str, default: str = "") -> list[str]:
        """The parts of a comma list, trimmed, without empty ones."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def wholes(self, name: str, default: str) -> list[int]:
        """A comma list of whole numbers from 0 up."""
        try:
            numbers = [int(part) for part in self.items(name, default)]
        except ValueError:
            numbers = [-1]
        if any(number < 0 for number in numbers):
            raise SettingsError(f"{name} must be a comma list of whole numbers from 0 up")
        return numbers

    def path(self, name: str, default: str, *, base: Path) -> Path:
        """A path; a relative one starts at `base`, wherever the command was started."""
        return base / Path(self.text(name, default)).expanduser()

    def group(self, names: Sequence[str]) -> dict[str, str]:
        """Those of the names that are set, with their values, in this order."""
        found = {name: self.optional(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


def read_environment(file: Path) -> Reader:
    """A reader of this process's environment and of `file`.

    The test profile leaves the file alone: a suite must not depend on a developer's settings.
    """

    class Source(environ.Env):
        ENVIRON = {name: value for name, value in os.environ.items() if value.strip()}

    if choose_profile(Source.ENVIRON) != "test" and file.is_file():
        Source.read_env(file)
    return Reader(Source.ENVIRON)


def choose_profile(values: Mapping[str, str]) -> str:
    """`production`, `test` or `local`, by the first of the three names that is set."""
    for name in PROFILE_NAMES:
        value = values.get(name, "").strip().lower()
        if value in {"production", "prod"}:
            return "production"
        if value:
            return "test" if value == "test" else "local"
    return "local"
