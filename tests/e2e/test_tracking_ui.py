"""MLflow's own pages in a real browser: runs, a comparison, checkpoints ranked, a trajectory."""

import shutil
import time

import pytest
from records import BEST_EARLY, SNAPSHOT, write_results

from searchr2.config import Tracking
from searchr2.tracking import views
from searchr2.tracking.follow import sync_once
from searchr2.tracking.store import Store
from tests.e2e.stages import PATIENCE, command, serving

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium"),
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromium-driver"),
]
METHODS = ["search-r2/qwen2-mini", "search-r1/qwen2-mini"]  # the best first
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
    with serving(command("ui", "--results", results)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def links(root, results):
    return views.links(root, Store(results, Tracking()).experiment)


@pytest.fixture(scope="module")
def browser(tmp_path_factory, links):
    """On a first visit MLflow opens its assistant beside the page, once."""
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    browser.get(links["checkpoints, ranked"])
    press(browser, '[data-component-id="mlflow.assistant.chat_panel.close"]')
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


def press(browser, selector, said=None):
    """Click the first element that has this text, or else the first at all."""

    def attempt():
        found = browser.find_elements("css selector", selector)
        able = (element for element in found if element.is_enabled())
        next(e for e in able if said is None or e.text.strip() == said).click()
        return True

    until(attempt)


def text(browser):
    return browser.find_element("css selector", "body").text


def column(browser, name):
    """What a column of the runs table says, top to bottom; the first line of a name is a colour."""
    cells = browser.execute_script(
        "return [...document.querySelectorAll('.ag-row')].flatMap(row =>"
        ' [...row.querySelectorAll(`[col-id="${arguments[0]}"]`)].map(cell =>'
        " [Number(row.getAttribute('row-index')), cell.innerText]))",
        name,
    )
    return [said.rpartition("\n")[2] for _, said in sorted(cells)]


def figures(browser, name):
    return [float(said) for said in column(browser, f"metrics.`{name}`") if said not in ("", "-")]


def test_checkpoints_are_ranked_by_their_average(browser, links):
    browser.get(links["checkpoints, ranked"])
    values = until(lambda: figures(browser, "em/average"))
    assert values == sorted(values, reverse=True)
    names = until(lambda: column(browser, "attributes.`Run Name`"))
    assert names[0] == "evaluate/search-r2/qwen2-mini/seed2"
    assert {name.partition("/")[0] for name in names} == {"evaluate"}
    until(lambda: column(browser, "tags.`model`")[0] == "search-r2-seed2-step6")
    headers = browser.find_elements("css selector", ".ag-header-cell[aria-colindex]")
    headers.sort(key=lambda header: int(header.get_attribute("aria-colindex")))
    sets = [header.text for header in headers if header.text.startswith("em/")]
    assert sets[:3] == ["em/average", "em/nq", "em/triviaqa"]


def test_methods_are_ranked_by_the_mean_over_their_seeds(browser, links):
    browser.get(links["methods, ranked"])
    until(lambda: column(browser, "attributes.`Run Name`")[:2] == METHODS)
    assert figures(browser, "em/nq")[:2] == [56.5, 51.5]


def test_a_click_on_a_set_ranks_all_checkpoints_by_it(browser, links):
    browser.get(links["checkpoints, ranked"])
    until(lambda: figures(browser, f"em/{BEST_EARLY}"))
    header = f'.ag-header-cell[col-id="metrics.`em/{BEST_EARLY}`"]'
    press(browser, header)
    best = f"search-r2-seed1-step{SNAPSHOT}"
    until(lambda: column(browser, "tags.`model`")[0] == best)
    values = figures(browser, f"em/{BEST_EARLY}")
    assert values == sorted(values, reverse=True)
    press(browser, header)
    until(lambda: (found := figures(browser, f"em/{BEST_EARLY}")) and found == sorted(values))


def test_two_rows_are_ticked_and_compared(browser, links):
    browser.get(links["checkpoints, ranked"])
    until(lambda: figures(browser, "em/average"))
    for row in (0, 1):
        press(browser, f'.ag-row[row-index="{row}"] .ag-checkbox')
    press(browser, "button", "Compare")
    await_page(browser, "Run details", "Comparing 2 Runs", "evaluate/search-r2/qwen2-mini/seed2")
    until(lambda: text(browser).count("Show diff only") >= 2)


def await_page(browser, *said):
    """Wait until the page says all of this."""

    def attempt():
        page = text(browser)
        missing = [one for one in said if one not in page]
        assert not missing, missing
        return True

    until(attempt)


def test_the_table_of_models_sorts_by_age_alone(browser, links):
    """Which is why there is a view of runs. Where this fails, MLflow has learnt to."""
    browser.get(links["checkpoints, as bars"].replace("viewMode=CHART&", ""))
    await_page(browser, "search-r2-seed2-step6")
    headers = until(lambda: browser.find_elements("css selector", ".ag-header-cell-sortable"))
    assert [header.text for header in headers] == ["Created"]
    assert [button.text for button in buttons(browser) if "Sort" in button.text] == [
        "Sort: Created"
    ]


def test_checkpoints_stand_side_by_side_as_bars(browser, links):
    """Ten at first; the eye above them shows all."""
    browser.get(links["checkpoints, as bars"])
    await_page(browser, "em/nq", f"search-r2-seed1-step{SNAPSHOT}", "base-step30-rag")
    some = until(lambda: bars(browser))
    press(browser, '[data-testid="experiment-view-runs-visibility-column-header"]')
    press(browser, "[role=menuitemradio]", "Show all runs")
    until(lambda: bars(browser) == 8 > some)


def buttons(browser):
    return browser.find_elements("css selector", "button")


def bars(browser):
    """How many bars the first chart has."""
    chart = browser.find_element("css selector", ".js-plotly-plot")
    return len(chart.find_elements("css selector", ".bars .point"))


def test_training_curves_are_found_by_name(browser, links):
    browser.get(links["training curves"])
    await_page(browser, "reward/mean")
    search = '[role=searchbox][placeholder="Search metric charts"]'
    press(browser, search)
    browser.switch_to.active_element.send_keys("process")
    until(lambda: "reward/mean" not in text(browser))


def test_trajectories_are_filtered_by_outcome_and_show_their_spans(browser, links):
    browser.get(links["trajectories"])
    press(browser, '[data-component-id="mlflow.detect_issues.guidance.got_it"]')
    await_page(browser, "The Quiet Harbour")
    table = "[data-component-id='web-shared.traces-table.filter"
    press(browser, f"{table}.trigger']")
    press(browser, f"{table}.field']")
    press(browser, "[role=option]", "Tag")
    for part, typed in (("key", "outcome"), ("value", "repaired")):
        press(browser, f"{table}.{part}']")
        browser.switch_to.active_element.send_keys(typed)
    press(browser, f"{table}.apply']")
    until(lambda: "number nq-1?" not in text(browser))
    row = "//*[text()='Who directed The Quiet Harbour, number nq-0?']"
    until(lambda: browser.find_element("xpath", row).click() is None)
    await_page(browser, "actor turn 1", "search: The Quiet Harbour", "discriminator: reject")
    await_page(browser, "trimmer: cut before step 2", "regenerated turn 2")
    press(browser, "[data-component-id='shared.model-trace-explorer.assessments-pane-toggle']")
    await_page(browser, "gold answers", "Mira Voss", "sub_em")
