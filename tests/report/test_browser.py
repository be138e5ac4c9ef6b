"""The page in a real browser, opened from disk."""

import json
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="Chromium and chromedriver are not installed"
    ),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "--window-size=1280,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def opened(driver, report_dir):
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get((report_dir / "index.html").as_uri())
    WebDriverWait(driver, 60).until(
        lambda d: d.execute_script(
            "return document.querySelectorAll('.plot .main-svg').length > 0 &&"
            "[...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg'))"
        )
    )
    return driver


def find_all(driver, selector):
    return driver.find_elements("css selector", selector)


def choose(driver, panel, choice, option):
    """Choose an option of a panel by the label of the choice."""
    driver.execute_script(
        """
        const labels = document.querySelectorAll(`[data-panel="${arguments[0]}"] label`);
        const label = [...labels].find(l => l.textContent.trim().startsWith(arguments[1]));
        const select = label.querySelector("select");
        select.value = arguments[2];
        select.dispatchEvent(new Event("change"));
        """,
        panel,
        choice,
        option,
    )


def column(driver, table, index):
    rows = find_all(driver, f"#table-{table} tbody tr")
    return [row.find_elements("css selector", "td")[index].text for row in rows]


def test_tables_are_there_and_visible(opened):
    for name in ("sweep", "errors", "cost", "checks", "downstream", "data", "suspects"):
        (table,) = find_all(opened, f"#table-{name}")
        assert table.is_displayed() and table.size["height"] > 50
        assert len(table.find_elements("css selector", "tbody tr")) > 1


def test_plots_are_there_and_visible(opened):
    plots = find_all(opened, ".plot")
    assert len(plots) == 8
    for plot in plots:
        (drawing, *_) = plot.find_elements("css selector", ".main-svg")
        assert drawing.is_displayed()
        assert drawing.size["width"] > 500 and drawing.size["height"] > 200
    assert find_all(opened, "[data-panel=pareto] .scatterlayer .point")
    assert find_all(opened, "[data-panel=downstream] .scatterlayer .point")
    assert find_all(opened, "[data-panel=kept] .heatmaplayer image")


def test_datasets_have_a_periodic_table_and_histograms(opened):
    symbols = [e.text for e in find_all(opened, "[data-panel=data] .heatmap-label")]
    assert len(symbols) == 118 and {"Na", "Cu", "Og"} <= set(symbols)
    choose(opened, "data", "Shown", "forces")
    assert "[eV/Å]" in find_all(opened, "[data-panel=data] .xtitle")[0].text
    assert find_all(opened, "[data-panel=data] .scatterlayer .js-fill")
    choose(opened, "data", "Dataset", "silicon")
    (text,) = find_all(opened, "[data-panel=data] .textpoint")
    assert "No structure is labelled" in text.text
    choose(opened, "data", "Shown", "elements")
    assert len(find_all(opened, "[data-panel=data] .barlayer .point")) == 1


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("shown", ["elements", "sizes", "energies", "forces", "pressures"])
def test_nothing_sticks_out_of_a_figure_of_a_dataset(opened, width, shown):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    choose(opened, "data", "Dataset", "foundation")
    choose(opened, "data", "Shown", shown)
    outside = opened.execute_async_script(
        """
        const done = arguments[0];
        setTimeout(() => {
          const plot = document.querySelector("[data-panel=data] .plot");
          const frame = plot.getBoundingClientRect();
          done([...plot.querySelectorAll("text")].filter((text) => {
            const box = text.getBoundingClientRect();
            return box.width > 0 && (box.left < frame.left - 1 || box.right > frame.right + 1
              || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
          }).map((text) => text.textContent));
        }, 300);
        """
    )
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert outside == []


def test_a_choice_redraws_its_figure(opened):
    title = "[data-panel=pareto] .xtitle"
    assert find_all(opened, title)[0].text == "time relative to the parent"
    choose(opened, "pareto", "Cost", "parameters")
    assert find_all(opened, title)[0].text == "parameters"
    choose(opened, "pareto", "Error", "energy, vs parent")
    assert "meV/atom" in find_all(opened, "[data-panel=pareto] .ytitle")[0].text


def test_a_press_on_a_head_sorts(opened):
    heads = [h.text.split("\n")[0] for h in find_all(opened, "#table-cost th")]
    index = heads.index("parameters")
    button = find_all(opened, "#table-cost th button")[index]
    for descending in (False, True):
        opened.execute_script("arguments[0].click()", button)
        values = [int(text.replace(",", "")) for text in column(opened, "cost", index)]
        assert values == sorted(values, reverse=descending)


def test_no_table_is_cut_on_a_desktop(opened):
    """Neither in width, so that columns hide, nor in height, through the middle of a row."""
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    cut = opened.execute_script(
        "return [...document.querySelectorAll('.scroll')].filter(box =>"
        " box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight)"
        ".map(box => box.querySelector('table').id)"
    )
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert cut == []


def test_the_first_column_stays_in_sight_on_a_phone(opened):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    places = opened.execute_script(
        "const box = document.querySelector('#table-sweep').closest('.scroll');"
        "box.scrollLeft = 150;"
        "const cell = box.querySelector('tbody td');"
        "return [cell.getBoundingClientRect().left, box.getBoundingClientRect().left]"
    )
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert abs(places[0] - places[1]) < 2


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(opened, width):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dark_pages_have_dark_figures(opened):
    def colours(scheme):
        opened.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        return opened.execute_async_script(
            """
            const done = arguments[0];
            setTimeout(() => done([
              getComputedStyle(document.body).backgroundColor,
              getComputedStyle(document.querySelector("[data-panel=pareto] .ytitle")).fill,
            ]), 300);
            """
        )

    light, dark = colours("light"), colours("dark")
    assert light[0] == "rgb(255, 255, 255)" and dark[0] != light[0]
    assert dark[1] != light[1]


def test_a_screenshot_is_not_blank(opened, tmp_path):
    path = tmp_path / "page.png"
    assert opened.save_screenshot(str(path))
    assert path.stat().st_size > 20_000


def test_no_errors_and_no_requests_but_of_files(opened):
    severe = [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
    requests = []
    for entry in opened.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        sent = message["method"] == "Network.requestWillBeSent"
        # Chromium's own new-tab page, shown before ours, is not of interest.
        if sent and message["params"]["documentURL"].startswith("file:"):
            requests.append(message["params"]["request"]["url"])
    assert any(url.startswith("file:") for url in requests)
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
