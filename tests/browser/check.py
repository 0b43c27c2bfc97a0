#!/usr/bin/env python3
"""Opens report pages in headless Chromium and asserts what a reader relies on.

    tests/browser/check.py [--shots FOLDER] PAGE.html ...

For every page: no console message, no request but the page itself, every chart drawn, nothing wider
than a phone, dark and light, all charts without script, hostile text shown as text, read-outs by mouse
and keyboard, sorting, switching series off, print. Needs Debian's `chromium`; only Python's standard
library is used (the DevTools protocol over a pipe).
"""

import argparse
import base64
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

WIDE = {"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 375, "height": 740, "deviceScaleFactor": 2, "mobile": True}


class Browser:
    """Chromium, driven over `--remote-debugging-pipe`: JSON messages that end in a zero byte."""

    def __init__(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not program:
            sys.exit("no chromium: apt-get install chromium")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self.write_end = os.pipe()
        self.read_end, to_write = os.pipe()

        # Away from 3 and 4, so that wiring one end can't close the other.
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (to_read, to_write)]

        def wire():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.profile.name}"]
        self.process = subprocess.Popen(
            [program, *flags], preexec_fn=wire, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for end in [to_read, to_write, *theirs]:
            os.close(end)
        self.rest, self.number, self.session, self.events = b"", 0, None, []

    def receive(self):
        while b"\0" not in self.rest:
            chunk = os.read(self.read_end, 1 << 16)
            if not chunk:
                raise RuntimeError("chromium is gone")
            self.rest += chunk
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url, script=True, size=WIDE, scheme="light"):
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + 60
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url} did not load")
            self.events.append(self.receive())

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    def key(self, key):
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def complaints(self, url):
        """Everything a browser would show in its console, and every request it made."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            match event.get("method"):
                case "Runtime.consoleAPICalled":
                    found.append(f"console.{params['type']}: {params['args']}")
                case "Runtime.exceptionThrown":
                    found.append(f"exception: {params['exceptionDetails']}")
                case "Log.entryAdded":
                    found.append(f"{params['entry']['source']}: {params['entry']['text']}")
                case "Network.requestWillBeSent" if params["request"]["url"].split("#")[0] != url:
                    found.append(f"request: {params['request']['url'][:200]}")
        return found

    def shot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12_000), "scale": 1}
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        self.process.wait(20)


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def that(self, claim, true, detail=""):
        if true:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {claim} {detail}")


DRAWN = """(() => {
  const charts = [...document.querySelectorAll('figure.chart')];
  const visible = (one) => [...one.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().width > 0);
  return {
    charts: charts.length,
    once: charts.filter((one) => visible(one).length === 1).length,
    inked: charts.filter((one) => visible(one).every((svg) => svg.querySelectorAll('path').length > 2)).length,
    coloured: charts.filter((one) => visible(one).every((svg) => [...svg.querySelectorAll('g path')]
      .every((path) => !getComputedStyle(path).color.includes('rgba(0, 0, 0, 0)')))).length,
    width: document.documentElement.scrollWidth,
    small: charts.filter((one) => visible(one).some((svg) => 11 * svg.getBoundingClientRect().width
      / svg.viewBox.baseVal.width < 8)).length,
    title: document.title,
    strange: document.querySelectorAll('img, iframe, object, link, form').length,
    background: getComputedStyle(document.body).backgroundColor,
  };
})()"""


def check_drawing(checks, name, state, size):
    checks.that(f"{name}: every chart is shown once", state["once"] == state["charts"], state)
    checks.that(f"{name}: every chart is drawn", state["inked"] == state["charts"], state)
    checks.that(f"{name}: every series has a colour", state["coloured"] == state["charts"], state)
    checks.that(f"{name}: nothing is wider than the window", state["width"] <= size["width"], state)
    checks.that(f"{name}: labels can be read", state["small"] == 0, state)
    checks.that(f"{name}: no foreign element, no foreign script ran",
                state["strange"] == 0 and state["title"] != "owned", state)


def check_script(browser, checks, name):
    """What the page's script adds."""
    figure = "(document.querySelector('figure[data-chart^=cdf-]') ?? document.querySelector('figure.chart'))"
    if browser.ask(f"!{figure}"):
        return
    browser.ask(f"{figure}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    box = browser.ask(f"(() => {{ const b = [...{figure}.querySelectorAll('svg')]"
                      ".find((svg) => svg.getBoundingClientRect().width).getBoundingClientRect();"
                      " return [b.x, b.y, b.width, b.height]; })()")
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    read = browser.ask(f"{figure}.querySelector('.read').hidden ? '' : {figure}.querySelector('.read').innerText")
    checks.that(f"{name}: the mouse brings a read-out", bool(read and any(c.isdigit() for c in read)), read)
    browser.ask(f"[...{figure}.querySelectorAll('svg')].find((svg) => svg.getBoundingClientRect().width).focus()")
    browser.key("ArrowRight")
    first = browser.ask(f"{figure}.querySelector('.read').innerText")
    browser.key("ArrowRight")
    second = browser.ask(f"{figure}.querySelector('.read').innerText")
    checks.that(f"{name}: arrow keys move the read-out", first and second and first != second, (first, second))
    checks.that(f"{name}: a screen reader hears it",
                browser.ask(f"{figure}.querySelector('[aria-live]').textContent.length") > 0)
    browser.key("Escape")
    checks.that(f"{name}: Escape hides it", browser.ask(f"{figure}.querySelector('.read').hidden"))
    toggled = browser.ask("""(() => {
      const button = document.querySelector('.key button');
      if (!button) return 'none';
      button.click();
      const figure = button.closest('figure');
      const gone = [...figure.querySelectorAll('g[data-series="0"]')].every((g) => getComputedStyle(g).display === 'none');
      button.click();
      const back = [...figure.querySelectorAll('g[data-series="0"]')].every((g) => getComputedStyle(g).display !== 'none');
      return gone && back;
    })()""")
    checks.that(f"{name}: a key switches its series off and on", toggled in (True, "none"), toggled)
    sorted_ = browser.ask("""[...document.querySelectorAll('table[data-sortable]')].every((table) => {
      const column = [...table.tHead.rows[0].cells].findIndex((head) => head.classList.contains('n'));
      if (column < 0) return true;
      const button = table.tHead.rows[0].cells[column].querySelector('button');
      const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[column].dataset.v));
      const rises = (list) => list.every((value, n) => !n || list[n - 1] <= value || Number.isNaN(value));
      button.click();
      const up = rises(values());
      button.click();
      return up && rises(values().reverse());
    })""")
    checks.that(f"{name}: tables can be sorted", sorted_ is True, sorted_)


def check_page(browser, checks, page, shots):
    url, name = page.resolve().as_uri(), page.stem
    states = {}
    for look, size, scheme in [("wide", WIDE, "light"), ("dark", WIDE, "dark"), ("phone", PHONE, "light"),
                               ("phone-dark", PHONE, "dark")]:
        browser.open(url, size=size, scheme=scheme)
        states[look] = browser.ask(DRAWN)
        check_drawing(checks, f"{name} {look}", states[look], size)
        if shots:
            browser.shot(shots / f"{name}-{look}.png")
        if look == "wide":
            check_script(browser, checks, name)
            printed = base64.b64decode(browser.call("Page.printToPDF", printBackground=False)["data"])
            checks.that(f"{name}: it can be printed", printed.startswith(b"%PDF") and len(printed) > 20_000)
            if shots:
                (shots / f"{name}.pdf").write_bytes(printed)
        complaints = browser.complaints(url)
        checks.that(f"{name} {look}: the console is silent and nothing is requested", not complaints, complaints[:3])
    checks.that(f"{name}: dark is dark", states["wide"]["background"] != states["dark"]["background"])
    if "hostile" in name:
        text = browser.ask("document.body.innerText")
        checks.that(f"{name}: hostile text is shown as text", text.count("<img src=x") > 5 and "<script>" in text)
    browser.open(url, script=False)
    checks.that(f"{name}: the console is silent without script", not browser.complaints(url))
    if shots:
        browser.shot(shots / f"{name}-noscript.png")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shots", type=pathlib.Path)
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.shots:
        arguments.shots.mkdir(parents=True, exist_ok=True)
    checks, browser = Checks(), Browser()
    try:
        for page in arguments.pages:
            check_page(browser, checks, page, arguments.shots)
    finally:
        browser.close()
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
