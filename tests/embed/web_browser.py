"""Pages for tests: written around a bundle, served as a static server would, and opened in Debian's Chromium."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: Where ``make embed-tools`` puts onnxruntime-web.
RUNTIME = Path(__file__).resolve().parents[2] / ".tools" / "node_modules" / "onnxruntime-web" / "dist"

#: WebGPU without a graphics card: slow, and exact.
SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")

# Nothing but the page's own server is ever reached; WebGL is computed where there is no graphics card.
_FLAGS = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-unsafe-swiftshader")


def missing() -> str | None:
    """What the tests of the page need and is not here, in one sentence."""
    if _chromium() is None:
        return "Chromium is not installed (Debian: apt install chromium)"
    if not RUNTIME.is_dir():
        return "the npm package onnxruntime-web is not in .tools (make embed-tools)"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "the package playwright is not installed (pip install playwright)"
    return None


def _chromium() -> str | None:
    return shutil.which("chromium")


@contextmanager
def browsers() -> Iterator[Callable[..., Any]]:
    """What starts Chromium without a window, with more flags; one at a time in a process."""
    from playwright.sync_api import sync_playwright

    # As root it has no sandbox to run in.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(executable_path=_chromium(), args=[*sandbox, *_FLAGS, *flags])


class _Quiet(SimpleHTTPRequestHandler):
    headers_sent: dict[str, str] = {}

    def end_headers(self) -> None:
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a page that was closed
            super().copyfile(source, outputfile)


class _Isolated(_Quiet):
    """What a page needs for threads."""

    headers_sent = {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
    }


@contextmanager
def opened(
    chromium: Any, address: str, *, expected: tuple[str, ...] = (), script: str = "", **options: Any
) -> Iterator[Any]:
    """A page, once it is proven or has refused. It must ask no other host for anything and say nothing on the console.

    Args:
        expected: parts of what is said on the console, or of addresses that fail, and is meant to.
        script: run before the page's own.
        options: of the browser's context, such as ``color_scheme`` and ``viewport``.
    """
    context = chromium.new_context(**options)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"{message.type}: {message.text} ({message.location})"))
    page.on("pageerror", lambda error: problems.append(f"thrown: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    page.on("request", lambda request: _check_host(request.url, problems))
    if script:
        page.add_init_script(script)
    page.goto(address)
    page.evaluate("window.aedeploy?.ready")
    yield page
    context.close()
    unexpected = [problem for problem in problems if not any(part in problem for part in expected)]
    assert not unexpected, unexpected


def _check_host(address: str, problems: list[str]) -> None:
    if not address.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:")):
        problems.append(f"asked another host: {address}")


@contextmanager
def serving(folder: Path, *, isolated: bool = False) -> Iterator[str]:
    """The address of a folder, as ``python -m http.server`` serves it."""
    handler = functools.partial(_Isolated if isolated else _Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
