"""The report in a real browser: nothing is asked for, nothing runs off the side, both themes."""

import json
import shutil

import pytest
from records import write_results

from searchr2.cli.main import main
from searchr2.tracking.provenance import made

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium"),
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromium-driver"),
]
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
OPTIONS += ["--no-first-run", "--disable-sync", "--disable-background-networking"]
OPTIONS += ["--disable-component-update"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report over some runs and a table too wide for a telephone."""
    results = tmp_path_factory.mktemp("work") / "results"
    write_results(results)
    header = "method,backbone,nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle,average"
    figures = ",".join(["40.0"] * 8)
    table = results / "table1.csv"
    with made(table, stage="table", config={"name": "mini", "backbone": "m"}, inputs={}):
        table.write_text(f"{header}\nRejection Sampling,Qwen2.5-7B,{figures}\n")
    out = results / "report.html"
    assert main(["report", "--results", str(results), "--out", str(out)]) == 0
    return f"file://{out}"


def show(browser, page, width, theme):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    feature = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(page)


def asked_for(browser) -> set[str]:
    """Every address the browser asked for since the last call."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {one["request"]["url"] for one in sent}


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_asks_for_nothing_and_fits(browser, page, width):
    asked_for(browser)
    show(browser, page, width, "light")
    assert {url for url in asked_for(browser) if not url.startswith("data:")} == {page}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []


def luminance(browser, selector, what):
    """Relative luminance of a colour, by WCAG."""
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    parts = browser.execute_script(script, selector, what).strip("rgba()").split(",")[:3]
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 for c in map(float, parts)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("selector", ["p", "td", "h2", "nav a", ".lead", "nav strong", "summary"])
def test_text_can_be_read_in_both_themes(browser, page, theme, selector):
    show(browser, page, 1400, theme)
    ink = luminance(browser, selector, "color")
    paper = luminance(browser, "body", "backgroundColor")
    assert (paper > 0.5) == (theme == "light")
    low, high = sorted((ink, paper))
    assert (high + 0.05) / (low + 0.05) > 4.5  # WCAG AA
