"""The page in a real browser, from the disk: it shows what was computed, wherever one clicks."""

import csv
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from gauss_vit.inspect.report.packing import compand
from tests.inspect.report.browsing import (
    COLUMNS,
    NEEDS_BROWSER,
    ROWS,
    choose,
    classes,
    click_patch,
    numbers,
    open_page,
    pixels,
    set_layer,
    state,
    wait_until_ready,
)
from tests.inspect.report.made_up_report import (
    GRID,
    HOSTILE,
    PREFIX,
    SHOWN,
    fields,
    packed_fields,
    report,
    tables,
    weights,
)

pytestmark = NEEDS_BROWSER


def coloured(codes: np.ndarray, name: str) -> np.ndarray:
    return mpl.colormaps[name](codes, bytes=True)[..., :3]


def test_page_opens_at_the_central_patch_of_the_last_layer_without_complaint(page: webdriver.Chrome):
    assert state(page) == {"row": "1", "column": "2", "layer": "2", "head": "mean", "image": "0", "query": "patch"}
    assert page.get_log("browser") == []
    assert page.find_element(By.ID, "model").get_attribute("textContent") == SHOWN
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert HOSTILE[:9] in page.title


def test_click_shows_the_field_of_the_patch(page: webdriver.Chrome):
    click_patch(page, 2, 4)
    assert (state(page)["row"], state(page)["column"]) == ("2", "4")
    # Patches of 8 px are small enough to be shown pixel by pixel.
    maps = compand(np.stack([field.values for field in fields()]) * 1e6)
    np.testing.assert_array_equal(pixels(page, "field"), coloured(maps.codes[14], "inferno"))
    found = numbers(page, "field")
    assert next(iter(found)) == "Half of the mass within"
    assert found["Fit \u03c3 x, y"] == "7, 3 px"
    assert found["Fit R²"] == "1"
    target = page.find_element(By.CSS_SELECTOR, "#panel-field rect.target")
    assert [target.get_attribute(name) for name in ("x", "y", "width", "height")] == ["32", "16", "8", "8"]


def test_layer_slider_shows_the_attention_and_the_bias_of_the_layer(page: webdriver.Chrome):
    click_patch(page, 0, 3)
    set_layer(page, 1)
    assert state(page)["layer"] == "1"
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
    set_layer(page, 1)
    field = packed_fields()[1]
    assert field is not None
    np.testing.assert_array_equal(pixels(page, "field"), coloured(compand(field.maps).codes[9], "inferno"))
    assert page.find_element(By.ID, "field-where").text == "layer 1"
    found = numbers(page, "field")
    sigma_x, sigma_y = (float(part) for part in found["Fit \u03c3 x, y"].removesuffix(" px").split(", "))
    assert (sigma_x, sigma_y) == pytest.approx((6.5, 3), rel=6e-3)
    assert float(found["Half of the mass within"].split()[0]) == pytest.approx(field.numbers[5, 9], rel=6e-3)
    assert page.find_element(By.CSS_SELECTOR, "#rows tr:nth-child(2) td").text == "6.5"
    ellipse = page.find_element(By.ID, "ellipse")
    centre = [float(ellipse.get_attribute(name)) for name in ("cx", "cy", "rx", "ry")]
    assert centre == pytest.approx([36, 12, 6.5, 3], rel=1e-2)
    half = page.find_element(By.ID, "half")
    circle = [float(half.get_attribute(name)) for name in ("cx", "cy", "r")]
    assert circle == pytest.approx([36, 12, field.numbers[5, 9]], rel=1e-3)
    set_layer(page, 2)
    assert page.find_element(By.ID, "field-where").text == "layer 2, end of the trunk"
    assert numbers(page, "field")["Fit \u03c3 x, y"] == "7, 3 px"


def test_layer_whose_field_is_not_in_the_file_says_so(page: webdriver.Chrome):
    set_layer(page, 0)
    absent = page.find_element(By.CSS_SELECTOR, "#panel-field .absent")
    assert absent.is_displayed()
    assert "not in the file" in absent.text
    choose(page, "#over")
    assert absent.find_element(By.XPATH, "..").value_of_css_property("background-image") == "none"
    assert not page.find_element(By.ID, "field-numbers").is_displayed()
    assert page.get_log("browser") == []


def test_fields_of_the_last_layer_alone_are_shown_at_every_layer(browser: webdriver.Chrome, tmp_path: Path):
    content = report()
    open_page(browser, tmp_path, replace(content, fields=(None, None, content.fields[-1])))
    set_layer(browser, 0)
    assert browser.find_element(By.ID, "field-where").text == "end of the trunk"
    assert numbers(browser, "field")["Fit \u03c3 x, y"] == "5, 3 px"
    assert not browser.find_element(By.ID, "chart-field").is_displayed()
    # A chart that is alone in its row does not stretch, and its labels with it.
    charts = [chart for chart in browser.find_elements(By.CSS_SELECTOR, ".chart") if chart.is_displayed()]
    assert charts and all(chart.size["width"] <= 380 for chart in charts)


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
    assert "head 1" in page.find_element(By.ID, "attention").get_attribute("aria-label")


def test_arrow_keys_move_the_patch_and_stop_at_the_border(page: webdriver.Chrome):
    picker = page.find_element(By.ID, "picker")
    picker.send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP, "[")
    assert {name: state(page)[name] for name in ("row", "column", "layer")} == {"row": "0", "column": "1", "layer": "1"}
    assert picker.get_attribute("aria-label") == "Patch in row 0, column 1 of 3 by 5"
    assert "layer 1" in page.find_element(By.ID, "status").get_attribute("textContent")


def test_label_and_prediction_of_the_image_are_named(page: webdriver.Chrome):
    assert classes(page) == {"Label": "heron", "Prediction": "heron, 75.0 %", "Second choice": "class 2, 12.5 %"}
    wrong = [thumb.get_attribute("class") for thumb in page.find_elements(By.CSS_SELECTOR, "#thumbs button")]
    assert wrong == ["", "wrong"]
    choose(page, "#thumbs button:nth-child(2)")
    WebDriverWait(page, 5).until(lambda driver: state(driver)["image"] == "1")
    assert classes(page)["Label"].startswith("</script><img src=x")
    assert "predicted heron, wrong" in page.find_element(By.ID, "photo").get_attribute("alt")


def test_address_keeps_the_view(page: webdriver.Chrome):
    click_patch(page, 2, 4)
    set_layer(page, 1)
    choose(page, "#head option[value='1']")
    choose(page, "#over")
    address = page.current_url
    assert address.endswith("#image=0&row=2&column=4&layer=1&head=1&query=patch&over=true")
    assert page.find_element(By.ID, "link").get_attribute("href") == address
    page.get("about:blank")
    page.get(address)
    wait_until_ready(page)
    expected = {"row": "2", "column": "4", "layer": "1", "head": "1", "image": "0", "query": "patch"}
    assert state(page) == expected
    assert page.find_element(By.ID, "over").is_selected()
    page.execute_script("location.hash = 'image=9&row=-1&column=2&layer=x&head=7&query=class'")
    WebDriverWait(page, 5).until(lambda driver: state(driver)["query"] == "class")
    assert state(page) == {"row": "1", "column": "2", "layer": "2", "head": "mean", "image": "0", "query": "class"}


def test_pointer_shows_the_value_of_its_cell(page: webdriver.Chrome):
    frame = page.find_element(By.CSS_SELECTOR, "#panel-field .frame")
    across, down = frame.size["width"] / 40, frame.size["height"] / 24
    # The pixel in row 13 and column 22, from the centre of the frame.
    ActionChains(page).move_to_element_with_offset(frame, round(2.5 * across), round(1.5 * down)).perform()
    tip = page.find_element(By.ID, "tip").text
    assert tip.startswith("pixel row 13, pixel column 22: ") and tip.endswith(" % of the mass per pixel")
    value = float(tip.split(": ")[1].split()[0])
    values = 100 * fields()[7].values
    assert value == pytest.approx(values[13, 22], abs=values.max() * 2 / 255)
    ActionChains(page).move_to_element(page.find_element(By.ID, "model")).perform()
    assert not page.find_element(By.ID, "tip").is_displayed()


def test_panels_are_saved_as_picture_and_numbers(browser: webdriver.Chrome, tmp_path: Path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    open_page(browser, tmp_path, replace(report(), model="run"))
    for name in ("field", "bias", "attention", "image"):
        for kind in ("png", "csv"):
            choose(browser, f"#panel-{name} .save-{kind}")
    choose(browser, "#chart-field .save-csv")
    choose(browser, "#training-loss .save-csv")
    WebDriverWait(browser, 10).until(lambda _: len([*tmp_path.glob("*.png"), *tmp_path.glob("*.csv")]) == 10)
    (table,) = tmp_path.glob("run_field_layer-2_patch-1-2.csv")
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["pixel row", "pixel column", "% of the mass per pixel"]
    found = np.array(rows[1:], float)
    values = 100 * fields()[7].values
    np.testing.assert_array_equal(found[:, :2].reshape(*values.shape, 2), np.moveaxis(np.indices(values.shape), 0, -1))
    np.testing.assert_allclose(found[:, 2].reshape(values.shape), values, atol=values.max() * (1 / 255 + 1 / 510**2))
    with Image.open(next(tmp_path.glob("run_field*.png"))) as picture:
        assert picture.width >= 640
        assert picture.convert("RGB").getpixel((3, 3)) == (255, 255, 255)
    predictions = next(tmp_path.glob("run_predictions.csv")).read_text(encoding="utf-8")
    assert predictions.splitlines()[0] == "image,label,prediction,probability"
    assert "heron,heron,0.75" in predictions
    curves = next(tmp_path.glob("run_training-loss.csv")).read_text(encoding="utf-8").split("\n")
    assert curves[1:] == ["400,2,", "800,,", "1234,0.5,0.75", ""]
    assert browser.get_log("browser") == []


def test_curves_of_the_training_are_drawn(page: webdriver.Chrome):
    figure = page.find_element(By.ID, "training-loss")
    assert figure.is_displayed()
    titles = [each.get_attribute("textContent") for each in figure.find_elements(By.CSS_SELECTOR, "circle title")]
    assert titles == ["step 400: train 2", "step 1234: train 0.5", f"step 1234: {SHOWN} 0.75"]


@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_contrast_with_their_ground(page: webdriver.Chrome, scheme: str, width: int):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        names = ("ground", "card", "ink", "soft", "accent", "wrong", "down", "across", "quality")
        colours = page.execute_script(
            "const style = getComputedStyle(document.documentElement);"
            "return arguments[0].map((name) => style.getPropertyValue('--' + name).trim())",
            names,
        )
        seen = dict(zip(names, colours, strict=True))
        for name, least in (("ink", 7), ("soft", 4.5), ("accent", 4.5), ("wrong", 4.5)):
            assert contrast(seen[name], seen["ground"]) >= least, name
        # Lines of charts are graphics.
        assert min(contrast(seen[name], seen["ground"]) for name in ("down", "across", "quality")) >= 3
        unnamed = page.execute_script(
            "return [...document.querySelectorAll('button, input, select, canvas[role=img], svg[role=img], a')]"
            ".filter((each) => each.offsetParent !== null || each instanceof SVGElement)"
            ".filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length))"
            ".filter((each) => !each.closest('[hidden]')).map((each) => each.outerHTML)"
        )
        assert unnamed == []
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(first: str, second: str) -> float:
    """Computes the ratio of luminances of two colours as #rrggbb, as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_phone_has_no_sideways_scroll(page: webdriver.Chrome):
    metrics = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") == 375
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_axis_ends_at_a_largest_value_that_is_a_tick(page: webdriver.Chrome):
    ticks = page.find_elements(By.CSS_SELECTOR, "#training-loss .chart text[text-anchor='end']")
    assert [float(tick.text) for tick in ticks] == [0, 0.5, 1, 1.5, 2]
