"""The HTML picture in a real browser: headless Chromium, opened from a file as a reader would.

Method: each test looks into the document and does what a reader does: clicks, wheels, keys.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from genealogy_story import graph_of, story_lines, wide_sweep

from finops.pictures import make_picture, write_picture

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

Open = Callable[..., "Page"]


class Page:
    """A picture in the browser."""

    def __init__(self, driver: Any, file: pathlib.Path) -> None:
        self._driver = driver
        self.file = file
        for name in ("browser", "performance"):
            driver.get_log(name)  # of the page before
        driver.get(file.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self._driver.execute_script(script, *arguments)

    def items(self) -> list[dict[str, Any]]:
        """The visible nodes in reading order, with the cost that each shows."""
        found = self.run(
            "return [...document.querySelectorAll('.node')].map((group) => ({"
            " key: group.dataset.key, level: Number(group.getAttribute('aria-level')),"
            " name: group.querySelector('.name').textContent,"
            " cost: group.querySelector('.cost').textContent,"
            " isOpen: group.getAttribute('aria-expanded') }))"
        )
        assert isinstance(found, list)
        return found

    def names(self) -> list[str]:
        return [item["name"] for item in self.items()]

    def item(self, name: str) -> Any:
        return next(item for item in self.items() if item["name"] == name)

    def click(self, name: str) -> None:
        key = self.item(name)["key"]
        self.run(
            'const box = document.querySelector(`[data-key="${arguments[0]}"] .box`);'
            "box.dispatchEvent(new MouseEvent('click', { bubbles: true }))",
            key,
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.run(
                "(document.activeElement || document.body).dispatchEvent("
                "new KeyboardEvent('keydown', { key: arguments[0], bubbles: true,"
                " cancelable: true }))",
                key,
            )

    def press_button(self, name: str) -> None:
        self.run("document.getElementById(arguments[0]).click()", name)

    def search(self, text: str) -> None:
        self.run(
            "const search = document.getElementById('search'); search.focus();"
            "search.value = arguments[0];"
            "search.dispatchEvent(new Event('input', { bubbles: true }))",
            text,
        )
        self.press("Enter")

    def text(self, element_id: str) -> str:
        return str(self.run("return document.getElementById(arguments[0]).innerText", element_id))

    def scale(self) -> float:
        transform = self.run("return document.getElementById('scene').getAttribute('transform')")
        return float(re.search(r"scale\(([\d.e-]+)\)", transform)[1])  # type: ignore[index]

    def complaints(self) -> list[str]:
        """What the browser wrote to its console."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What the page asked for besides itself and data in itself."""
        urls = []
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        own = self.file.as_uri()
        return [url for url in urls if url != own and not url.startswith("data:")]


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    browser, service = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or service is None:
        pytest.skip("chromium and its chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
                     "--disable-dev-shm-usage"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=service)
    )
    yield started
    started.quit()


@pytest.fixture
def open_page(driver: Any, tmp_path: pathlib.Path) -> Open:
    def opened(lines: list[dict[str, Any]], node_id: str, **choices: bool) -> Page:
        tree = graph_of(lines).tree(node_id, **choices)
        is_downstream = choices.get("downstream", False)
        picture = make_picture(tree, is_downstream=is_downstream, most_children=0)
        write_picture(picture, tmp_path / "picture.html")
        return Page(driver, tmp_path / "picture.html")

    return opened


def _amount(text: str) -> Decimal:
    return Decimal(re.sub(r"[$,≥ ]", "", text)) if "$" in text else Decimal(0)


def _children(items: list[dict[str, Any]], parent: dict[str, Any]) -> list[dict[str, Any]]:
    below = items[items.index(parent) + 1 :]
    found = []
    for item in below:
        if item["level"] <= parent["level"]:
            break
        if item["level"] == parent["level"] + 1:
            found.append(item)
    return found


def test_it_opens_from_a_file_without_a_complaint_or_a_request(open_page: Open) -> None:
    page = open_page(story_lines(), "endpoint:support-bot")
    assert page.items()[0]["name"] == "support-bot"
    assert page.items()[0]["cost"] == "$6,865.50"
    assert "$2,040.00 failed" in page.run("return document.querySelector('header').innerText")
    page.press_button("unfold")
    page.press_button("theme")
    assert page.complaints() == []
    assert page.requests() == []


def test_a_request_is_forbidden_by_the_page_itself(open_page: Open) -> None:
    """So that the test above does not only say that nobody tried."""
    page = open_page(story_lines(), "endpoint:support-bot")
    refused = page.run(
        "return new Promise((done) => {"
        " document.addEventListener('securitypolicyviolation', (e) => done(e.blockedURI));"
        " fetch('https://finops.invalid/').catch(() => {}); })"
    )
    assert refused.startswith("https://finops.invalid")
    added = page.run(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s); return window.ran === undefined"
    )
    assert added


def test_a_click_folds_and_unfolds(open_page: Open) -> None:
    page = open_page(story_lines(), "endpoint:support-bot")
    assert "sweep of 12 May" in page.names()
    page.click("support-bot-v3")
    assert page.item("support-bot-v3")["isOpen"] == "false"
    assert "sweep of 12 May" not in page.names()
    page.click("support-bot-v3")
    assert page.item("support-bot-v3")["isOpen"] == "true"
    assert "sweep of 12 May" in page.names()


def test_shown_costs_add_up_at_every_open_node(open_page: Open) -> None:
    """Cents are exact on the screen; of a node that has own cost the panel names it."""
    page = open_page(story_lines(), "endpoint:support-bot")
    page.press_button("unfold")
    items = page.items()
    checked = 0
    for item in items:
        children = _children(items, item)
        if not children or item["isOpen"] != "true":
            continue
        page.run(
            'document.querySelector(`[data-key="${arguments[0]}"]`).dispatchEvent('
            "new PointerEvent('pointerover', { bubbles: true }))",
            item["key"],
        )
        own = re.search(r"Own cost\s+(\S+)", page.text("details"))
        assert own is not None, page.text("details")
        below = sum((_amount(child["cost"]) for child in children), Decimal(0))
        assert _amount(own[1]) + below == _amount(item["cost"]), item
        checked += 1
    assert checked > 5


def test_wheel_keys_and_buttons_zoom(open_page: Open) -> None:
    page = open_page(story_lines(), "endpoint:support-bot")
    before = page.scale()
    page.run(
        "document.getElementById('picture').dispatchEvent(new WheelEvent('wheel',"
        " { deltaY: -200, clientX: 300, clientY: 300, bubbles: true, cancelable: true }))"
    )
    wheeled = page.scale()
    assert wheeled > before
    page.press("-")
    assert page.scale() < wheeled
    smaller = page.scale()
    page.press_button("larger")
    assert page.scale() > smaller
    for _ in range(60):
        page.press("-")
    assert page.scale() > 0.01  # there is an end, and a way back
    page.press("0")
    assert page.scale() > 0.1


def test_dragging_moves_the_picture_and_folds_nothing(open_page: Open) -> None:
    page = open_page(story_lines(), "endpoint:support-bot")
    before = page.run("return document.getElementById('scene').getAttribute('transform')")
    names = page.names()
    page.run(
        "const box = document.querySelector('[data-key=\"n0\"] .box');"
        "const at = (name, x, y) => box.dispatchEvent(new PointerEvent(name,"
        " { pointerId: 1, clientX: x, clientY: y, bubbles: true }));"
        "at('pointerdown', 100, 100); at('pointermove', 160, 130); at('pointerup', 160, 130);"
        "box.dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    )
    after = page.run("return document.getElementById('scene').getAttribute('transform')")
    assert after != before
    assert page.names() == names


def test_the_keyboard_walks_folds_and_unfolds(open_page: Open) -> None:
    page = open_page(story_lines(), "endpoint:support-bot")
    focused = "return document.activeElement.dataset.key"
    page.press("ArrowRight")
    assert page.run(focused) == page.item("support-bot-v3")["key"]
    page.press("Enter")
    assert page.item("support-bot-v3")["isOpen"] == "false"
    page.press("ArrowRight")
    assert page.item("support-bot-v3")["isOpen"] == "true"
    page.press("ArrowLeft", "ArrowLeft")
    assert page.run(focused) == "n0"


def test_search_unfolds_the_way_to_what_it_finds(open_page: Open) -> None:
    page = open_page(wide_sweep(300), "model:m")
    assert "trial-00007" not in page.names()
    page.search("TRIAL-00007")
    assert "trial-00007" in page.names()
    assert page.text("found") == "1 of 1"
    assert page.text("details").startswith("trial-00007")
    assert "$0.07" in page.text("details")
    page.search("no such thing")
    assert page.text("found") == "nothing found"


HOSTILE = [
    "</script><img src=x onerror='window.hacked=1'>",
    "<!--<script>window.hacked=1</script>",
    '"><svg onload=window.hacked=1>',
    "&lt;b&gt; \\u003cb ${1} {x} '",
    "abc\u202edef\u2066\u200b",
    "__proto__",
]


def test_hostile_names_are_only_text(open_page: Open) -> None:
    lines: list[dict[str, Any]] = []
    for number, name in enumerate(HOSTILE):
        run = f"run:{name}{number}"
        lines.append({"node": run, "label": name, "user_name": name, "cluster": name})
        lines.append({"edge": "produced", "subject": run, "object": "model:m"})
    lines.append({"node": "model:m", "label": HOSTILE[0]})
    page = open_page(lines, "model:m")
    page.press_button("unfold")
    page.press("ArrowDown", "ArrowDown")
    assert page.run("return window.hacked") is None
    assert page.run("return document.querySelectorAll('img, script[src], svg svg').length") == 0
    shown = page.run("return document.getElementById('scene').textContent")
    assert "‮" not in shown
    assert any(name.startswith("</script") for name in page.names())
    assert page.complaints() == []
    assert page.requests() == []


def test_5000_nodes_open_in_bounded_steps(open_page: Open) -> None:
    page = open_page(wide_sweep(5000), "model:m")
    first = len(page.items())
    assert first < 60
    more = next(name for name in page.names() if "more runs" in name)
    assert more == "4,992 more runs"
    page.click(more)
    assert first < len(page.items()) <= first + 51
    page.press_button("unfold")
    assert len(page.items()) <= 1501
    # A sweep of 5,000 cannot be unfolded at once: the page says where it stopped.
    assert "stopped" in page.text("found")
    page.press_button("fold")
    assert len(page.items()) < 20


def test_what_a_fold_hides_is_counted_in_it(open_page: Open) -> None:
    page = open_page(wide_sweep(5000), "model:m")
    items = page.items()
    sweep = next(item for item in items if item["name"] == "sweep")
    assert _amount(sweep["cost"]) == Decimal(5000 * 5001) / 2 / 100
    assert sum(_amount(child["cost"]) for child in _children(items, sweep)) == _amount(
        sweep["cost"]
    )


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("0", "$0.00"), ("0.000000000001", "$0.000000000001"), ("0.00123456", "$0.00123"),
        ("0.0099999", "$0.01"), ("0.01", "$0.01"), ("0.0234", "$0.023"), ("0.5", "$0.50"),
        ("0.994", "$0.99"), ("0.995", "$1.00"), ("1.005", "$1.00"), ("1.015", "$1.02"),
        ("1234567.891", "$1,234,567.89"),
    ],
)  # fmt: skip
def test_money_is_shown_as_on_the_command_line(open_page: Open, cost: str, shown: str) -> None:
    """The same cases as tests/cli/test_render.py, since the page rounds by itself."""
    lines = [{"cost": f"{cost} USD", "node_id": "run:a", "event_id": "e"}]
    assert open_page(lines, "run:a").items()[0]["cost"] == shown
