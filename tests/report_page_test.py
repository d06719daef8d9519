#!/usr/bin/env python3
"""Opens report pages in Chromium, from disk. Nothing is fetched, there are no errors, all charts are
drawn, pointer and keys change them through the controls, hostile names are harmless, and everything
is readable on wide and narrow screens.

        report_page_test.py SEGUE [FOLDER]     screenshots are written to FOLDER, if it is given
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

SKIPPED = 77
SEGUE = sys.argv[1]
SHOTS = Path(sys.argv[2]) if len(sys.argv) > 2 else None
CHARTS = 7
LARGEST_BYTES = 1_500_000


class Browser:
    """A headless Chromium, controlled by the WebDriver protocol."""

    def __init__(self):
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                port = line.rstrip().rstrip(".").split()[-1]
                self.url = f"http://127.0.0.1:{port}"
                break
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                            "--disable-dev-shm-usage"]}
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.url += f"/session/{answer['sessionId']}"

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path, width):
        # Headless windows have at least 500 pixels, but pages can be narrower.
        self.call("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}})
        self.call("POST", "/url", {"url": Path(path).as_uri()})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def press(self, key):
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})

    def complaints(self):
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def fetched(self):
        events = [json.loads(entry["message"])["message"]
                  for entry in self.call("POST", "/se/log", {"type": "performance"})]
        urls = [event["params"]["request"]["url"] for event in events
                if event["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("file:", "data:"))]

    def shoot(self, name):
        if SHOTS is None:
            return
        picture = self.call("POST", "/goog/cdp/execute", {
            "cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}})
        (SHOTS / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self.call("DELETE", "")
        self.driver.terminate()
        self.driver.communicate(timeout=30)


DRAWINGS = "return [...document.querySelectorAll('svg.chart')].map((chart) => chart.outerHTML);"
VISIBLE_CHARTS = """
  return [...document.querySelectorAll('svg.chart, svg.figure')]
    .filter((chart) => chart.getClientRects().length > 0).length;"""
SMALLEST_TEXT = """
  const sizes = [...document.querySelectorAll('svg.chart text, svg.figure text')].filter((text) =>
    text.getClientRects().length > 0).map((text) => {
    const chart = text.ownerSVGElement;
    return parseFloat(getComputedStyle(text).fontSize) * chart.clientWidth / chart.viewBox.baseVal.width;
  });
  const words = [...document.querySelectorAll('p, td, th, span, b, li, legend')]
    .map((node) => parseFloat(getComputedStyle(node).fontSize));
  return Math.min(...sizes, ...words);"""
# Returns, for each chart of strategies, its lines with their dashes and the places of its markers.
LINES_AND_MARKERS = """
  [...document.querySelectorAll('.grid svg.chart')].slice(0, 3).map((chart) => ({
    lines: [...chart.querySelectorAll('path[fill=none]')].map((line) =>
      ['d', 'stroke-dasharray', 'stroke-dashoffset'].map((name) => line.getAttribute(name))),
    markers: [...chart.querySelectorAll('g > path')].map((m) => m.getAttribute('d').match(/M[^a-zA-Z]*/)[0]),
  }))"""
# Returns the texts of a chart that overlap.
COLLISIONS = """
  const found = [];
  for (const chart of document.querySelectorAll('svg.chart, svg.figure')) {
    if (chart.getClientRects().length === 0) continue;
    const boxes = [...chart.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
    for (let i = 0; i < boxes.length; ++i) for (let j = i + 1; j < boxes.length; ++j) {
      const [a, b] = [boxes[i][1], boxes[j][1]];
      if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom)
        found.push(`${chart.getAttribute('aria-label')}: ${boxes[i][0]} / ${boxes[j][0]}`);
    }
  }
  return found;"""


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segue-page-")
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def expect_clean(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.fetched(), [])

    def expect_readable(self, width):
        self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth;"), width)
        self.assertGreaterEqual(self.browser.run(SMALLEST_TEXT), 11)
        self.assertEqual(self.browser.run(COLLISIONS), [])


class ReportPage(Page):
    def write(self, name, *arguments):
        page = Path(self.folder.name) / name
        subprocess.run([SEGUE, "report", *arguments, "-o", page], check=True, stdout=subprocess.DEVNULL)
        self.assertLessEqual(page.stat().st_size, LARGEST_BYTES)
        return page

    def test_every_chart_is_drawn_at_two_widths(self):
        page = self.write("resnet101.html", "zoo:resnet101", "--show", "6", "--strategy", "balanced")
        for width in (1280, 400):
            with self.subTest(width=width):
                self.browser.open(page, width)
                drawings = self.browser.run(DRAWINGS)
                self.assertEqual(len(drawings), CHARTS)
                for drawing in drawings:
                    shapes = drawing.count("<rect") + drawing.count("<path") + drawing.count("<line")
                    self.assertGreater(shapes, 5)
                self.expect_readable(width)
                self.expect_clean()
                self.browser.shoot(f"report-{width}")

    def test_controls_change_every_chart(self):
        self.browser.open(self.write("controls.html", "zoo:resnet101", "--show", "6"), 1280)
        before = self.browser.run(DRAWINGS)
        verdict = self.browser.run("return document.querySelector('.verdict').textContent;")
        self.assertIn("resnet101 on 6 TPUs, optimal", verdict)
        self.browser.run("document.querySelector('input[name=tpus][value=\"3\"]').click();")
        after = self.browser.run(DRAWINGS)
        self.assertTrue(all(a != b for a, b in zip(before, after)))
        self.browser.run("document.querySelector('input[name=strategy]:checked').focus();")
        self.browser.press("\ue012")  # the left arrow
        self.assertIn("resnet101 on 3 TPUs, profile",
                      self.browser.run("return document.querySelector('.verdict').textContent;"))
        self.expect_clean()

    def test_equal_curves_stay_visible(self):
        # Strategies have the same plans on one and two TPUs.
        self.browser.open(self.write("equal.html", "zoo:conv5-f552", "--tpus", "1..3"), 1280)
        charts = self.browser.run(f"return {LINES_AND_MARKERS.strip()};")
        self.assertEqual(len(charts), 3)
        for chart in charts:
            places = [line for line, _, _ in chart["lines"]]
            self.assertLess(len(set(places)), len(places), "no equal curves")
            self.assertEqual(len({tuple(line) for line in chart["lines"]}), len(places))
            for place in set(places):
                dashes = [dash for line, dash, _ in chart["lines"] if line == place]
                if len(dashes) > 1:
                    self.assertEqual(dashes, [f"6 {6 * (len(dashes) - 1)}"] * len(dashes))
            self.assertEqual(len(set(chart["markers"])), len(chart["markers"]))

    def test_close_cuts_keep_their_labels(self):
        page = self.write("cuts.html", "zoo:resnet101", "--tpus", "8", "--strategy", "compiler")
        self.browser.open(page, 1280)
        labels = self.browser.run("return [...document.querySelectorAll('.of-cut')].map((t) => t.textContent);")
        self.assertEqual(labels, [f"{i}|{i + 1}" for i in range(7)])
        self.expect_readable(1280)

    def test_many_tpus_and_small_models_are_drawn(self):
        for arguments in (["zoo:squeezenet", "--tpus", "1..16"], ["zoo:mobilenet@64", "--tpus", "2"]):
            with self.subTest(arguments=arguments):
                self.browser.open(self.write("other.html", *arguments), 400)
                self.expect_readable(400)
                self.expect_clean()

    def test_run_is_shown_beside_plan(self):
        folder = Path(self.folder.name) / "parts"
        subprocess.run([SEGUE, "split", "zoo:squeezenet@64", "--tpus", "2", "--strategy", "balanced",
                        "-o", folder], check=True, stdout=subprocess.DEVNULL)
        run = subprocess.run([SEGUE, "run", folder, "--inputs", "20", "--json"], check=True,
                             capture_output=True).stdout
        (folder / "run.json").write_bytes(run)
        page = self.write("run.html", folder / "plan.json", "--model", "zoo:squeezenet@64", "--run",
                          folder / "run.json")
        self.browser.open(page, 1280)
        self.assertIn("20 results", self.browser.run("return document.body.textContent;"))
        marks = "return [...document.querySelectorAll('svg.chart title')].map((t) => t.textContent);"
        self.assertEqual(sum("measured" in mark for mark in self.browser.run(marks)), 2)
        self.expect_readable(1280)
        self.expect_clean()

    def test_hostile_names_are_escaped(self):
        folder = Path(self.folder.name)
        subprocess.run([SEGUE, "zoo", "mobilenet@64", "-o", folder / "plain.tflite"], check=True,
                       stdout=subprocess.DEVNULL)
        for name in ("<img src=x onerror=alert(1)>", "<!--<script>alert(1)", "a" * 240, "'\"&amp;\x01"):
            with self.subTest(name=name):
                model = folder / f"{name}.tflite"
                shutil.copy(folder / "plain.tflite", model)
                self.browser.open(self.write("named.html", model, "--tpus", "1..2"), 400)
                self.assertEqual(self.browser.run("return document.querySelectorAll('img').length;"), 0)
                self.assertEqual(len(self.browser.run(DRAWINGS)), CHARTS)
                self.expect_readable(400)
                self.expect_clean()


class PaperPage(Page):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run([SEGUE, "paper", "-o", cls.folder.name], check=True, stdout=subprocess.DEVNULL)
        cls.page = Path(cls.folder.name) / "index.html"

    def test_every_chart_is_drawn_at_two_widths(self):
        for width in (1280, 400):
            with self.subTest(width=width):
                self.browser.open(self.page, width)
                self.assertEqual(self.browser.run(VISIBLE_CHARTS), self.browser.run(
                    "return document.querySelectorAll('figure:not([hidden])').length;"))
                self.assertGreater(self.browser.run(VISIBLE_CHARTS), 12)
                self.expect_readable(width)
                self.expect_clean()
                self.browser.shoot(f"paper-{width}")

    def test_controls_select_tpus_and_strategy(self):
        self.browser.open(self.page, 1280)
        captions = ("return [...document.querySelectorAll('#comparison figure:not([hidden]) figcaption')]"
                    ".map((caption) => caption.textContent);")
        self.assertIn("On 8 TPUs, simulated", self.browser.run(captions))
        self.browser.run("document.querySelector('input[name=tpus][value=\"3\"]').click();")
        self.assertIn("On 3 TPUs, simulated", self.browser.run(captions))
        self.assertNotIn("On 8 TPUs, simulated", self.browser.run(captions))
        self.browser.run("document.querySelector('input[name=strategy]:checked').focus();")
        self.browser.press("\ue014")  # the right arrow
        bright = ("return [...new Set([...document.querySelectorAll('#comparison [data-series]:not(.dim)')]"
                  ".map((series) => series.dataset.series))];")
        self.assertEqual(self.browser.run(bright), ["compiler"])
        self.expect_clean()


if __name__ == "__main__":
    if shutil.which("chromedriver") is None:
        print("skipped: no chromedriver; scripts/setup installs it")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
