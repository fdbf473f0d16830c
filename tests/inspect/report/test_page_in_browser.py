"""The page in a real browser, from the disk: it shows what was computed, wherever one clicks."""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from gauss_vit.inspect.report.contents import Report
from gauss_vit.inspect.report.packing import compand
from gauss_vit.inspect.report.page import render
from tests.inspect.report.made_up_report import GRID, HOSTILE, PREFIX, fields, packed_fields, report, tables, weights

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1200")
ROWS, COLUMNS = GRID


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:
    """The page, just opened."""
    return open_page(browser, tmp_path, report())


def open_page(browser: webdriver.Chrome, tmp_path: Path, content: Report) -> webdriver.Chrome:
    path = tmp_path / "report.html"
    path.write_text(render(content), encoding="utf-8")
    browser.get(path.as_uri())
    WebDriverWait(browser, 20).until(
        lambda driver: driver.execute_script("return document.documentElement.dataset.ready")
    )
    return browser


def click_patch(page: webdriver.Chrome, row: int, column: int) -> None:
    frame = page.find_element(By.ID, "picker")
    across, down = frame.size["width"] / COLUMNS, frame.size["height"] / ROWS
    shift = (round((column + 0.5 - COLUMNS / 2) * across), round((row + 0.5 - ROWS / 2) * down))
    ActionChains(page).move_to_element_with_offset(frame, *shift).click().perform()


def set_layer(page: webdriver.Chrome, layer: int) -> None:
    slider = page.find_element(By.ID, "layer")
    slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * (layer - 1))


def choose(page: webdriver.Chrome, selector: str) -> None:
    page.find_element(By.CSS_SELECTOR, selector).click()


def state(page: webdriver.Chrome) -> dict[str, str]:
    return page.execute_script("return {...document.body.dataset}")


def pixels(page: webdriver.Chrome, name: str) -> np.ndarray:
    """Reads a canvas as [height, width, 3]."""
    found = page.execute_script(
        "const c = document.getElementById(arguments[0]);"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [c.height, c.width, btoa(String.fromCharCode(...p))]",
        name,
    )
    return np.frombuffer(base64.b64decode(found[2]), np.uint8).reshape(found[0], found[1], 4)[..., :3]


def numbers(page: webdriver.Chrome, name: str) -> dict[str, str]:
    pairs = page.find_elements(By.CSS_SELECTOR, f"#{name}-numbers > div")
    return {pair.find_element(By.TAG_NAME, "dt").text: pair.find_element(By.TAG_NAME, "dd").text for pair in pairs}


def coloured(codes: np.ndarray, name: str) -> np.ndarray:
    return mpl.colormaps[name](codes, bytes=True)[..., :3]


def test_page_opens_at_the_central_patch_of_the_last_layer_without_complaint(page: webdriver.Chrome):
    assert state(page) == {"row": "1", "column": "2", "layer": "3", "head": "mean", "image": "0", "query": "patch"}
    assert page.get_log("browser") == []
    assert page.find_element(By.ID, "model").get_attribute("textContent") == HOSTILE
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert HOSTILE[:9] in page.title


def test_click_shows_the_field_of_the_patch(page: webdriver.Chrome):
    click_patch(page, 2, 4)
    assert (state(page)["row"], state(page)["column"]) == ("2", "4")
    # Patches of 8 px are small enough to be shown pixel by pixel.
    maps = compand(np.stack([field.values for field in fields()]) * 1e6)
    np.testing.assert_array_equal(pixels(page, "field"), coloured(maps.codes[14], "inferno"))
    found = numbers(page, "field")
    assert found["Fit \u03c3 x, y"] == "7, 3 px"
    assert found["Fit R²"] == "1"
    target = page.find_element(By.CSS_SELECTOR, "#panel-field rect.target")
    assert [target.get_attribute(name) for name in ("x", "y", "width", "height")] == ["32", "16", "8", "8"]


def test_layer_slider_shows_the_attention_and_the_bias_of_the_layer(page: webdriver.Chrome):
    click_patch(page, 0, 3)
    set_layer(page, 2)
    assert state(page)["layer"] == "2"
    mean = weights(0)[1].mean(axis=0)[PREFIX + 3]
    codes = compand(mean[None, PREFIX:].reshape(1, *GRID)).codes[0]
    np.testing.assert_array_equal(pixels(page, "attention"), coloured(codes, "viridis"))
    y, x = np.divmod(np.arange(15), COLUMNS)
    distance = mean[PREFIX:] @ np.hypot(8 * y, 8 * (x - 3)) / mean[PREFIX:].sum()
    found = numbers(page, "attention")
    assert float(found["Mean distance"].split()[0]) == pytest.approx(distance, rel=6e-3)
    assert float(found["On class tokens"].split()[0]) == pytest.approx(100 * mean[:PREFIX].sum(), rel=6e-3)
    assert float(found["Largest weight"].split()[0]) == pytest.approx(100 * mean[PREFIX:].max(), rel=6e-3)
    table = tables()[1].mean(axis=0)
    row = np.array([[table[0 - i + ROWS - 1, 3 - j + COLUMNS - 1] for j in range(COLUMNS)] for i in range(ROWS)])
    shown = pixels(page, "bias").astype(int)
    # Half precision may round a code the other way.
    expected = coloured(np.rint(255 * row / table.max()).astype(np.uint8), "viridis").astype(int)
    assert np.abs(shown - expected).max() <= 4
    largest, smallest = (float(part) for part in numbers(page, "bias")["Largest, smallest here"].split(", "))
    assert (largest, smallest) == pytest.approx((row.max(), row.min()), rel=6e-3)
    assert numbers(page, "bias")["Learned amplitude"] == "3"


def test_layer_slider_shows_the_field_of_the_layer_with_its_numbers(page: webdriver.Chrome):
    click_patch(page, 1, 4)
    set_layer(page, 2)
    field = packed_fields()[1]
    assert field is not None
    np.testing.assert_array_equal(pixels(page, "field"), coloured(compand(field.maps).codes[9], "inferno"))
    assert page.find_element(By.ID, "field-where").text == "layer 2"
    found = numbers(page, "field")
    sigma_x, sigma_y = (float(part) for part in found["Fit \u03c3 x, y"].removesuffix(" px").split(", "))
    assert (sigma_x, sigma_y) == pytest.approx((6.5, 3), rel=6e-3)
    assert float(found["Radius of 50 %"].split()[0]) == pytest.approx(field.numbers[5, 9], rel=6e-3)
    assert page.find_element(By.CSS_SELECTOR, "#rows td").text == "6.5"
    ellipse = page.find_element(By.ID, "ellipse")
    centre = [float(ellipse.get_attribute(name)) for name in ("cx", "cy", "rx", "ry")]
    assert centre == pytest.approx([36, 12, 6.5, 3], rel=1e-2)
    set_layer(page, 3)
    assert page.find_element(By.ID, "field-where").text == "layer 3, end of the trunk"
    assert numbers(page, "field")["Fit \u03c3 x, y"] == "7, 3 px"


def test_layer_whose_field_is_not_in_the_file_says_so(page: webdriver.Chrome):
    set_layer(page, 1)
    absent = page.find_element(By.CSS_SELECTOR, "#panel-field .absent")
    assert absent.is_displayed()
    assert "not in the file" in absent.text
    assert not page.find_element(By.ID, "field-numbers").is_displayed()
    assert page.get_log("browser") == []


def test_fields_of_the_last_layer_alone_are_shown_at_every_layer(browser: webdriver.Chrome, tmp_path: Path):
    content = report()
    open_page(browser, tmp_path, replace(content, fields=(None, None, content.fields[-1])))
    set_layer(browser, 1)
    assert browser.find_element(By.ID, "field-where").text == "end of the trunk"
    assert numbers(browser, "field")["Fit \u03c3 x, y"] == "5, 3 px"
    assert not browser.find_element(By.ID, "chart-field").is_displayed()


def test_class_token_shows_its_attention_until_a_patch_is_clicked(page: webdriver.Chrome):
    choose(page, "#head option[value='0']")
    choose(page, "#class-token")
    assert state(page)["query"] == "class"
    row = weights(0)[:, 0, 0, PREFIX:].reshape(3, *GRID)
    np.testing.assert_array_equal(pixels(page, "attention"), coloured(compand(row).codes[2], "viridis"))
    found = numbers(page, "attention")
    assert list(found) == ["Largest weight"]
    assert float(found["Largest weight"].split()[0]) == pytest.approx(100 * row[2].max(), rel=6e-3)
    assert "class token" in page.find_element(By.ID, "attention-where").text
    click_patch(page, 0, 0)
    assert state(page)["query"] == "patch"
    assert "On class tokens" in numbers(page, "attention")


def test_single_heads_and_other_images_are_shown(page: webdriver.Chrome):
    choose(page, "#head option[value='1']")
    choose(page, "#thumbs button:nth-child(2)")
    WebDriverWait(page, 5).until(lambda driver: state(driver)["image"] == "1")
    own = weights(1)[2, 1, PREFIX + 7, PREFIX:]
    codes = compand(own.reshape(1, *GRID)).codes[0]
    np.testing.assert_array_equal(pixels(page, "attention"), coloured(codes, "viridis"))
    # The last layer's table has both signs.
    assert "\u2212" in page.find_element(By.CSS_SELECTOR, "#panel-bias .ticks").text
    assert "head 2" in page.find_element(By.ID, "attention").get_attribute("aria-label")


def test_arrow_keys_move_the_patch_and_stop_at_the_border(page: webdriver.Chrome):
    picker = page.find_element(By.ID, "picker")
    picker.send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP, "[")
    assert {name: state(page)[name] for name in ("row", "column", "layer")} == {"row": "0", "column": "1", "layer": "2"}
    assert picker.get_attribute("aria-label") == "Patch in row 0, column 1 of 3 by 5"
    assert "layer 2 of 3" in page.find_element(By.ID, "status").get_attribute("textContent")


def test_phone_has_no_sideways_scroll(page: webdriver.Chrome):
    metrics = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") == 375
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
