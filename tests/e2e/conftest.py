"""A real Chromium, and the real command for it to talk to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    # A name of somebody else's that leads here: DNS rebinding.
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        executable = os.environ.get("TIF_CHROMIUM", "/usr/bin/chromium")
        browser = driver.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium):
    context = chromium.new_context(viewport={"width": 1000, "height": 700})
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def serve():
    """Start `tif spans edit` on a set; returns the process and the page's address."""
    running = []

    def start(path, *more):
        command = [sys.executable, "-m", "tif", "spans", "edit", str(path), "--no-browser", "--author", "mara", *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        running.append(process)
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.stderr.read()
        return process, address

    yield start
    for process in running:
        process.kill()
        process.communicate()
