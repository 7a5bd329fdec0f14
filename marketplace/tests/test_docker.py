"""The container files, as far as they can be checked without an engine."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from marketplace.serving.listening import is_answered
from marketplace.tests.clients.talkers import Plain
from marketplace.tests.live import Person, Site, eventually
from marketplace.tests.serving_client import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKER = ROOT / "docker"
APP = "marketplace:local"
NGINX = shutil.which("nginx") or ""


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DOCKER / "compose.yml").read_text()))


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def ours() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in services().items() if one["image"] == APP}


def known_settings() -> set[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {line.split("=")[0] for line in lines if re.match(r"[A-Z_0-9]+=", line)}


@contextmanager
def nginx(folder: Path, *, port: int, upstream: int) -> Iterator[None]:
    """The configuration as it is, but for its own port and the server's address."""
    text = (DOCKER / "nginx.conf").read_text()
    text = text.replace("server:8000", f"127.0.0.1:{upstream}")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    head = f"daemon off; pid {folder}/pid; error_log stderr;\n"
    head += "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(head + text)
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"])
    try:
        eventually(lambda: is_answered("127.0.0.1", port), what="nginx")
        yield
    finally:
        process.terminate()
        process.wait(10)


async def talk_through(front: str, room_id: str, asha: Person, bruno: Person) -> None:
    """One speaks by a socket, the other reads the stream: both through the proxy."""
    socket = await Plain.open(front.replace("http", "ws"), asha.token)
    await socket.join(room_id)
    stream = f"{front}/api/v1/topics/room:{room_id}/events"
    headers = {"Accept": "text/event-stream", **bruno.headers}
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", stream, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line == "event: ready":
                await socket.push(room_id, "message", {"content": "through the proxy"})
            elif line.startswith("data: ") and "through the proxy" in line:
                break
    await socket.close()


class TestCompose:
    def test_has_a_profile_for_each_database_and_the_bus(self) -> None:
        profiles = {name for one in services().values() for name in one["profiles"]}
        assert profiles == {"sqlite", "postgres", "mongo", "kafka", "tools"}

    @pytest.mark.parametrize("name", sorted(services()))
    def test_every_dependency_is_in_the_same_profile(self, name: str) -> None:
        one = services()[name]
        for needed, about in one.get("depends_on", {}).items():
            assert set(one["profiles"]) <= set(services()[needed]["profiles"])
            if about["condition"] == "service_healthy":
                of_image = services()[needed]["image"] == APP
                assert of_image or "healthcheck" in services()[needed]

    @pytest.mark.parametrize("name", sorted(ours()))
    def test_gives_settings_that_there_are(self, name: str) -> None:
        assert set(ours()[name]["environment"]) <= known_settings()

    @pytest.mark.parametrize("name", sorted(ours()))
    def test_runs_the_code_read_only_and_without_rights(self, name: str) -> None:
        one = ours()[name]
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert one["environment"]["MARKETPLACE_ENV"] == "production"

    @pytest.mark.parametrize("name", sorted(set(services()) - set(ours())))
    def test_names_the_version_of_every_foreign_image(self, name: str) -> None:
        tag = services()[name]["image"].partition(":")[2]
        assert re.match(r"\d", tag)

    def test_mounts_only_volumes_and_files_that_there_are(self) -> None:
        volumes = set(compose()["volumes"])
        for one in services().values():
            for mount in one.get("volumes", []):
                source = mount.split(":")[0]
                assert source in volumes or (DOCKER / source).is_file()

    def test_publishes_databases_on_loopback_only(self) -> None:
        for name, one in services().items():
            for port in one.get("ports", []):
                assert port.startswith("127.0.0.1:") or name in {
                    "nginx", "sqlite-server", "mongo-server",
                }  # fmt: skip

    def test_waits_longer_than_the_drain_takes(self) -> None:
        for one in ours().values():
            assert int(one["stop_grace_period"].rstrip("s")) > 10


class TestDockerfile:
    def test_passes_the_linter(self) -> None:
        linter = Path(sys.executable).parent / "hadolint"
        done = subprocess.run(
            [linter, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "")

    def test_runs_as_nobody_in_particular(self) -> None:
        text = (DOCKER / "Dockerfile").read_text()
        final = text.rpartition("\nFROM ")[2]
        assert re.findall(r"^USER (\S+)", final, re.MULTILINE) == ["10001"]
        assert "--require-hashes" in text

    def test_copies_no_secret(self) -> None:
        left_out = (ROOT / ".dockerignore").read_text().splitlines()
        assert {".env", ".env.*", ".data", ".git", ".venv"} <= set(left_out)


class TestNginx:
    @pytest.mark.skipif(not NGINX, reason="nginx is not installed here")
    def test_is_a_configuration_that_nginx_takes(self, tmp_path: Path) -> None:
        text = (DOCKER / "nginx.conf").read_text()
        (tmp_path / "nginx.conf").write_text(
            f"pid {tmp_path}/pid; error_log stderr;\n" + text.replace("server:8000", "127.0.0.1:9")
        )
        done = subprocess.run(
            [NGINX, "-t", "-q", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    @pytest.mark.integration
    @pytest.mark.skipif(not NGINX, reason="nginx is not installed here")
    def test_carries_sockets_streams_and_requests(self, tmp_path: Path) -> None:
        with Site(tmp_path / "site", TRUSTED_PROXIES="1") as site:
            server, port = site.start("uvicorn"), free_port()
            with nginx(tmp_path, port=port, upstream=server.port):
                front = f"http://127.0.0.1:{port}"
                asha, bruno = site.sign_up(server, "asha"), site.sign_up(server, "bruno")
                room_id = site.open_room(server, asha, bruno)
                asyncio.run(talk_through(front, room_id, asha, bruno))
                assert httpx.get(front + "/metrics").status_code == 404
                assert httpx.get(front + "/livez").json()["status"] == "ok"

    def test_passes_on_who_asks_and_what_he_upgrades_to(self) -> None:
        text = (DOCKER / "nginx.conf").read_text()
        for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Upgrade", "Connection", "Host"):
            assert re.search(rf"proxy_set_header {name} \$", text)
