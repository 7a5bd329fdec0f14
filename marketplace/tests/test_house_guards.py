"""What the house promises about requirements, migrations, layers and names."""

import ast
import re
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

ROOT = settings.BASE_DIR
APPS = ("accounts", "shops", "chat", "delivery", "orders", "support")
CONTRIB = ("admin", "auth", "contenttypes", "sessions")
# Not serializers: a person nested in another app's answer has one shape (CONTRIBUTING, decisions).
PRIVATE_ROOMS = {"views", "consumers", "tasks", "subscribers", "admin", "urls"}


def own_migrations() -> list[Path]:
    folders = [ROOT / app / "migrations" for app in APPS]
    folders += (ROOT / "marketplace").glob("*/migrations")
    return [file for folder in folders for file in sorted(folder.glob("[0-9]*.py"))]


class TestRequirements:
    @pytest.mark.parametrize("name", ["base", "dev", "production"])
    def test_every_package_is_pinned_with_hashes(self, name: str) -> None:
        text = (ROOT / f"requirements/{name}.txt").read_text()
        blocks = re.split(r"\n(?=[a-z0-9])", text)
        packages = [block for block in blocks if re.match(r"[a-z0-9]", block)]

        assert len(packages) > 50
        for block in packages:
            assert re.match(r"[a-z0-9._\[\],-]+==[^\s;]+", block), block.splitlines()[0]
            assert "--hash=sha256:" in block, block.splitlines()[0]

    @pytest.mark.parametrize(
        "file", sorted((ROOT / "requirements").glob("*")), ids=lambda f: f.name
    )
    def test_names_no_machine_no_registry_and_no_djongo(self, file: Path) -> None:
        text = file.read_text().lower()

        assert "djongo" not in text, "it cannot work with this Django: django-mongodb-backend does"
        for word in ("index-url", "find-links", "://", "/home/", "/root/"):
            assert word not in text

    def test_every_direct_need_is_locked(self) -> None:
        for name in ("base", "dev", "production"):
            lock = (ROOT / f"requirements/{name}.txt").read_text()
            for line in (ROOT / f"requirements/{name}.in").read_text().splitlines():
                if line and not line.startswith(("#", "-r")):
                    need = re.split(r"[\[~=<>]", line)[0]
                    assert re.search(rf"^{re.escape(need)}(\[[^]]*\])?==", lock, re.MULTILINE), need


class TestMigrations:
    def test_every_app_with_models_has_them(self) -> None:
        places = {file.parent.parent.name for file in own_migrations()}

        assert {"accounts", "chat", "core", "events"} <= places

    @pytest.mark.parametrize("file", own_migrations(), ids=lambda f: f"{f.parent.parent.name}")
    def test_never_name_a_migration_of_django(self, file: Path) -> None:
        # On MongoDB these apps have migrations of our own, with other names.
        named = rf'\(["\'](?:{"|".join(CONTRIB)})["\'],\s*["\'](\d{{4}}_\w+)["\']\)'

        assert re.findall(named, file.read_text()) == []

    @pytest.mark.django_db
    def test_are_complete(self) -> None:
        said = StringIO()

        call_command("makemigrations", check=True, dry_run=True, stdout=said, stderr=said)

        assert "No changes detected" in said.getvalue()


class TestLayers:
    def test_of_another_app_nobody_uses_the_private_rooms(self) -> None:
        offences = []
        for app in APPS:
            for file in (ROOT / app).rglob("*.py"):
                if "tests" in file.parts:
                    continue
                for module in imported(file):
                    other, _, rest = module.partition(".")
                    if other in APPS and other != app and rest.split(".")[0] in PRIVATE_ROOMS:
                        offences.append(f"{file.relative_to(ROOT)}: {module}")

        assert offences == []

    def test_transactions_have_one_door(self) -> None:
        door = ROOT / "marketplace/core/db.py"
        offences = [
            str(file.relative_to(ROOT))
            for folder in ("marketplace", *APPS)
            for file in (ROOT / folder).rglob("*.py")
            if file != door
            and "tests" not in file.parts
            and "django.db.transaction" in imported(file)
        ]

        assert offences == []


def imported(file: Path) -> set[str]:
    """Every module that a file imports, also `from package import module`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


class TestCommands:
    def test_every_make_target_is_listed_with_what_it_does(self) -> None:
        text = (ROOT / "Makefile").read_text()
        listed = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))

        assert {
            *("run", "test", "start", "stop", "check", "help", "coverage", "one", "unit"),
            *("integration", "lint", "format", "types", "migration", "migrate", "rollback"),
            *("docs", "build", "clean", "lock"),
        } <= listed

    def test_every_target_is_phony(self) -> None:
        text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
        phony = set(re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
        targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))

        assert targets == phony


class TestNames:
    def test_the_text_of_the_project_speaks_of_no_machine(self) -> None:
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", ".env.example"):
            text = (ROOT / name).read_text()

            assert "/work/" not in text
            assert "/root/" not in text
