"""The areas of a segmentation on the page: painted over the image, listed, and named where one clicks."""

from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from tests.inspect.report.browsing import NEEDS_BROWSER, choose, classes, click_patch, open_page, wait_until_ready
from tests.inspect.report.made_up_report import COLOURS, HOSTILE, detected_report, segmented_report

pytestmark = NEEDS_BROWSER


@pytest.fixture
def segmented(browser: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:
    return open_page(browser, tmp_path, segmented_report())


def opaque(driver: webdriver.Chrome) -> np.ndarray:
    """Colours and opacity of the areas over the image."""
    shown = driver.execute_script(
        "const map = document.getElementById('areas-map');"
        "return [...map.getContext('2d').getImageData(0, 0, map.width, map.height).data]"
    )
    return np.array(shown, np.uint8).reshape(24, 40, 4)


def test_areas_are_painted_over_the_image_and_listed(segmented: webdriver.Chrome):
    assert segmented.get_log("browser") == []
    seen = opaque(segmented)
    assert seen[5, 3].tolist()[3] == 128
    # Colours of half opacity are stored to within a level.
    np.testing.assert_allclose(seen[5, 3, :3].astype(int), COLOURS[2], atol=1)
    np.testing.assert_array_equal(seen[5, 19], [*COLOURS[2], 255])
    np.testing.assert_array_equal(seen[5, 20], [*COLOURS[0], 255])
    assert not seen[-1].any()
    entries = [entry.text.split("\n") for entry in segmented.find_elements(By.CSS_SELECTOR, "#areas-legend li")]
    assert [entry[-1] for entry in entries] == ["45.8 %", "45.8 %"]
    assert {entry[0] for entry in entries} == {"sea", HOSTILE[:26]}


def test_patch_is_named_by_the_areas_in_it(segmented: webdriver.Chrome):
    click_patch(segmented, 1, 2)
    assert classes(segmented) == {
        "Predicted here": f"sea 50.0 %, {HOSTILE[:26]} 50.0 %",
        "Labelled here": HOSTILE[:26],
    }
    click_patch(segmented, 2, 0)
    assert classes(segmented)["Predicted here"] == "sea 75.0 %, no label 25.0 %"
    frame = segmented.find_element(By.ID, "picker")
    ActionChains(segmented).move_to_element_with_offset(frame, -frame.size["width"] // 4, 0).perform()
    assert segmented.find_element(By.ID, "tip").text.endswith(": sea")


def test_areas_of_the_data_are_shown_instead_or_none(segmented: webdriver.Chrome):
    choose(segmented, "#areas option[value='labelled']")
    np.testing.assert_array_equal(opaque(segmented)[5, 15], [*COLOURS[2], 255])
    assert "areas=labelled" in segmented.current_url
    segmented.refresh()
    wait_until_ready(segmented)
    assert segmented.find_element(By.ID, "areas").get_attribute("value") == "labelled"
    choose(segmented, "#areas option[value='none']")
    assert not segmented.find_element(By.ID, "areas-map").is_displayed()
    assert not segmented.find_element(By.ID, "areas-legend").is_displayed()


def test_boxes_are_framed_in_the_colour_of_their_class(browser: webdriver.Chrome, tmp_path: Path):
    driver = open_page(browser, tmp_path, detected_report())
    assert driver.get_log("browser") == []
    seen = opaque(driver)
    for place in ((16, 24), (16, 35), (19, 30)):
        np.testing.assert_allclose(seen[place][:3].astype(int), COLOURS[1], atol=2)
    # Around it is a white line.
    for place in ((16, 23), (16, 36), (20, 30)):
        np.testing.assert_allclose(seen[place][:3].astype(int), 255, atol=2)
    # Inside, the area shows.
    np.testing.assert_allclose(seen[16, 30, :3].astype(int), COLOURS[0], atol=2)
    # A caption above would cover a small image.
    np.testing.assert_allclose(seen[8, 30].astype(int), [*COLOURS[0], 128], atol=1)


def test_page_without_areas_offers_none(page: webdriver.Chrome):
    assert not page.find_element(By.ID, "areas-control").is_displayed()
    assert "areas=" not in page.current_url
