"""Runs the Node scripts of this folder: they print JSON lines, and are answered where they ask."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent
KINDS = ("phoenix17", "phoenix18", "raw")
LIMIT_S = 120.0


def missing_reason() -> str | None:
    """Why the Node clients cannot run here, or None."""
    if shutil.which("node") is None:
        return "needs Node.js"
    if not (FOLDER / "node_modules" / "phoenix18").exists():
        return "needs `npm ci` in marketplace/tests/clients (make test-clients)"
    return None


def require_node() -> None:
    """Skip with the reason; fail with it where MARKETPLACE_CLIENTS=required."""
    reason = missing_reason()
    if reason is None:
        return
    if os.environ.get("MARKETPLACE_CLIENTS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


async def run_script(
    name: str, *arguments: str, answer: Callable[[str], Awaitable[Any]] | None = None
) -> list[dict[str, Any]]:
    """Run a script to its end; the lines it printed. A script that fails raises what it said."""
    process = await asyncio.create_subprocess_exec(
        "node", name, *arguments, cwd=FOLDER, limit=2**22,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    said: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            async for raw in process.stdout:
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = {"noise": raw.decode(errors="replace").rstrip()}
                said.append(line)
                if "ask" in line:
                    assert answer is not None
                    reply = await answer(line["ask"])
                    # A script that has ended meanwhile says below why.
                    with contextlib.suppress(ConnectionError):
                        process.stdin.write(json.dumps(reply).encode() + b"\n")
                        await process.stdin.drain()
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    failed = [line["failed"] for line in said if "failed" in line]
    noise = [line["noise"] for line in said if "noise" in line]
    assert code == 0, "\n".join([f"{name} {arguments[:1]}", *failed, *noise])
    return said
