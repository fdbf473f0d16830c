"""A page of a report in a real browser: what a reader does there, and what is to be seen."""

import base64
import shutil
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from gauss_vit.inspect.report.contents import Report
from gauss_vit.inspect.report.page import render
from tests.inspect.report.made_up_report import GRID

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_BROWSER = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1200")
ROWS, COLUMNS = GRID


def open_page(browser: webdriver.Chrome, tmp_path: Path, content: Report) -> webdriver.Chrome:
    path = tmp_path / "report.html"
    path.write_text(render(content), encoding="utf-8")
    browser.get("about:blank")
    browser.get(path.as_uri())
    wait_until_ready(browser)
    return browser


def wait_until_ready(browser: webdriver.Chrome) -> None:
    WebDriverWait(browser, 20).until(
        lambda driver: driver.execute_script("return document.documentElement.dataset.ready")
    )


def click_patch(page: webdriver.Chrome, row: int, column: int) -> None:
    frame = page.find_element(By.ID, "picker")
    across, down = frame.size["width"] / COLUMNS, frame.size["height"] / ROWS
    shift = (round((column + 0.5 - COLUMNS / 2) * across), round((row + 0.5 - ROWS / 2) * down))
    ActionChains(page).move_to_element_with_offset(frame, *shift).click().perform()


def set_layer(page: webdriver.Chrome, layer: int) -> None:
    slider = page.find_element(By.ID, "layer")
    slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * layer)


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


def classes(page: webdriver.Chrome) -> dict[str, str]:
    pairs = page.find_elements(By.CSS_SELECTOR, "#classes > div")
    return {pair.find_element(By.TAG_NAME, "dt").text: pair.find_element(By.TAG_NAME, "dd").text for pair in pairs}
