"""MLflow's own pages in a real browser: runs, a comparison, checkpoints ranked, a trajectory."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
from records import write_results

from searchr2.config import Tracking
from searchr2.tracking import views
from searchr2.tracking.follow import sync_once
from searchr2.tracking.store import Store

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium"),
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromium-driver"),
]
PATIENCE = 60  # seconds a page may take on a busy machine
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
OPTIONS += ["--disable-quic", "--no-first-run", "--disable-sync", "--window-size=1700,1000"]
OPTIONS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    results = tmp_path_factory.mktemp("work") / "results"
    write_results(results)
    sync_once(results, Tracking())
    return results


@pytest.fixture(scope="module")
def root(results):
    """The UI as ``searchr2 ui`` serves it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "searchr2.cli.main", "ui", "--results", str(results)]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
    until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5))
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=20)


@pytest.fixture(scope="module")
def links(root, results):
    return views.links(root, Store(results, Tracking()).experiment)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    yield browser
    browser.quit()


def until(attempt):
    """What ``attempt`` returns, once it neither raises nor returns something empty."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if found := attempt():
                return found
            reason: object = "nothing there"
        except Exception as error:
            reason = error
        assert time.monotonic() < deadline, reason
        time.sleep(0.5)


def texts(browser, selector):
    """What table cells say; the first line of a name is its colour."""
    cells = browser.find_elements("css selector", selector)
    return [cell.text.rpartition("\n")[2] for cell in cells]


def page_with(browser, text):
    """The page's text, once ``text`` is in it."""

    def attempt():
        found = browser.find_element("css selector", "body").text
        return text in found and found

    return until(attempt)


def column(browser, name):
    """The figures in a column of the runs table, top to bottom."""
    cells = texts(browser, f'.ag-row [col-id="metrics.`{name}`"]')
    return [float(text) for text in cells if text not in ("", "-")]


def test_checkpoints_are_ranked_by_their_average(browser, links):
    browser.get(links["checkpoints, ranked"])
    values = until(lambda: column(browser, "em/average"))
    assert values == sorted(values, reverse=True)
    names = until(lambda: texts(browser, '.ag-row [col-id="attributes.`Run Name`"]'))
    assert names[0] == "evaluate/search-r2/qwen2-mini/seed2"
    cells = '.ag-row [col-id="tags.`model`"]'
    until(lambda: texts(browser, cells)[0] == "search-r2-seed2-step6")
    headers = [header for header in texts(browser, ".ag-header-cell") if header.startswith("em/")]
    assert headers[:3] == ["em/average", "em/nq", "em/triviaqa"]


def test_checkpoints_are_ranked_by_any_set(browser, links):
    browser.get(links["checkpoints, ranked"])
    until(lambda: column(browser, "em/triviaqa"))
    browser.find_element("css selector", '[col-id="metrics.`em/triviaqa`"]').click()
    until(lambda: "em%2Ftriviaqa" in browser.current_url)
    values = until(lambda: column(browser, "em/triviaqa"))
    assert values in (sorted(values), sorted(values, reverse=True))


def test_runs_can_be_compared(browser, root, results):
    store = Store(results, Tracking())
    found = store.client.search_runs([store.experiment], "tags.stage = 'evaluate'")
    runs = urllib.parse.quote(json.dumps([run.info.run_id for run in found]))
    browser.get(f'{root}/#/compare-runs?runs={runs}&experiments=["{store.experiment}"]')
    page = page_with(browser, "Run details")
    assert f"Comparing {len(found)} Runs" in page
    assert "evaluate/search-r1/qwen2-mini/seed1" in page


def test_checkpoints_stand_side_by_side_as_bars(browser, links):
    browser.get(links["checkpoints, as bars"])
    page = page_with(browser, "em/nq")
    assert "search-r2-seed2-step6" in page
    assert "base-step30-rag" in page


def test_a_trajectory_shows_its_spans(browser, links, results):
    store = Store(results, Tracking())
    (trace,) = store.client.search_traces(
        [store.experiment], filter_string="tags.outcome = 'repaired'", max_results=1
    )
    browser.get(f"{links['trajectories']}&selectedEvaluationId={trace.info.trace_id}")
    page = page_with(browser, "regenerated turn 2")
    for span in ("actor turn 1", "search: The Quiet Harbour", "discriminator: reject"):
        assert span in page
    assert "trimmer: cut before step 2" in page
