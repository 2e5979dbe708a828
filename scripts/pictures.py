"""`python -m scripts.pictures [NAME ...]`: take the pictures in `docs/pictures/` anew.

They are taken from the Airflow of this checkout, after `make demo` has told the founding story to its end.
Needs a Chromium: the one on the PATH, or the one that `playwright install chromium` fetched.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

from scripts.stack.errors import StackError
from scripts.stack.installation import CHECKOUT, Installation

PICTURES = CHECKOUT / "docs" / "pictures"
LARGEST_BYTES = 250_000
PARTNER_DAG = "nce_partner_migration"
CAMPAIGN_DAG = "nce_campaign"
CAMPAIGN = "csp-commercial-2022"
CONVERTED = f"{CAMPAIGN}__galli-tecnologie"
BLOCKED = f"{CAMPAIGN}__ferrari-digitale"
SETTLE_MS = 1_500
"""The pages draw and move for a moment after their data has come."""

BROWSER_SETTINGS = {
    f"{PARTNER_DAG}/open-groups": ["convert"],
    "log_wrap": True,
    "log_show_source": False,
    "timezone": "UTC",
}
"""What Airflow's pages keep in the browser: groups open, long lines whole."""


class Camera:
    """A logged-in browser page of `installation`'s Airflow."""

    def __init__(self, browser: Browser, installation: Installation) -> None:
        self._browser = browser
        self._installation = installation
        self._state: str | None = None

    def open(self, path: str, *, shows: str, width: int, height: int, **settings: object) -> Page:
        """The page at `path` once it `shows` that text; `settings` are kept in the browser as well."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="light",
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.set_default_timeout(30_000)
        context.add_init_script(_store({**BROWSER_SETTINGS, **settings}))
        page = context.new_page()
        self._log_in(page)
        page.goto(self._installation.airflow_url + path)
        page.get_by_text(shows).locator("visible=true").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(SETTLE_MS)
        return page

    def _log_in(self, page: Page) -> None:
        page.goto(f"{self._installation.airflow_url}/auth/login")
        page.fill("input[name=username]", "operator")
        page.fill("input[name=password]", self._installation.secrets.passwords["operator"])
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/auth/" not in url)


def _store(values: Mapping[str, object]) -> str:
    lines = (
        f"localStorage.setItem({json.dumps(k)}, {json.dumps(json.dumps(v))});" for k, v in values.items()
    )
    return "\n".join(lines)


def _widen_left(page: Page, to: int) -> None:
    """Move the border between the left and the right half of the page to `to` pixels."""
    border = page.locator("[data-panel-resize-handle-id]").first
    box = border.bounding_box()
    if box is None:
        raise StackError(
            "Airflow's page has no border between its halves any more; correct scripts/pictures.py."
        )
    middle = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(to, middle, steps=8)
    page.mouse.up()
    page.mouse.move(to + 200, 5)
    page.wait_for_timeout(SETTLE_MS)


def grid(camera: Camera) -> Page:
    """Every partner's run, task by task, beside the list of runs."""
    page = camera.open(f"/dags/{PARTNER_DAG}/runs", shows="Dag Runs", width=1300, height=760)
    page.get_by_role("button", name="Options").click()
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name="25", exact=True).click()
    page.keyboard.press("Escape")
    _widen_left(page, 690)
    page.mouse.click(400, 680)
    return page


def graph(camera: Camera) -> Locator:
    """One partner's run as a graph, finished."""
    page = camera.open(
        f"/dags/{PARTNER_DAG}/runs/{CONVERTED}",
        shows="Success",
        width=1900,
        height=580,
        default_dag_view="graph",
    )
    _widen_left(page, 1500)
    page.get_by_role("button", name="Fit View").click()
    page.wait_for_timeout(SETTLE_MS)
    return page.locator(".react-flow")


def trigger_form(camera: Camera) -> Locator:
    """The form that starts a campaign."""
    page = camera.open(f"/dags/{CAMPAIGN_DAG}", shows="Last Dag Run", width=1200, height=1400)
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Runs that exist already").wait_for()
    page.wait_for_timeout(SETTLE_MS)
    return dialog


def red_task(camera: Camera) -> Page:
    """The log of a check that is still missing at the cut-over."""
    path = f"/dags/{PARTNER_DAG}/runs/{BLOCKED}/tasks/check_mpa"
    return camera.open(path, shows="Who acts: partner", width=1400, height=700)


def run_note(camera: Camera) -> Page:
    """The note of a blocked partner's run, opened to be read whole."""
    page = camera.open(f"/dags/{PARTNER_DAG}/runs/{BLOCKED}", shows="blocked:", width=1100, height=330)
    page.get_by_role("button", name="Edit note").click()
    page.get_by_role("dialog").wait_for()
    page.wait_for_timeout(SETTLE_MS)
    return page


def connection(camera: Camera) -> Page:
    """The form of the connection to Partner Center, at the fields that Airflow's own form does not have."""
    page = camera.open("/connections", shows="partner_center", width=1000, height=1040)
    row = page.get_by_role("row").filter(has_text="partner_center")
    row.get_by_label("Edit Connection").click()
    page.get_by_role("dialog").get_by_text("Extra Fields", exact=True).click()
    page.wait_for_timeout(SETTLE_MS)
    return page


def board(camera: Camera) -> Page:
    """All partners of the campaign on the board."""
    return camera.open("/nce/", shows="Partners", width=1300, height=1000)


TAKEN: Mapping[str, Callable[[Camera], Page | Locator]] = {
    "grid": grid,
    "graph": graph,
    "trigger-form": trigger_form,
    "red-task": red_task,
    "run-note": run_note,
    "connection": connection,
    "board": board,
}


def take(installation: Installation, names: list[str], folder: Path = PICTURES) -> None:
    """Write the named pictures to `folder`. Raises StackError when Airflow or a browser cannot be used."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = os.environ.get("NCE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        try:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            camera = Camera(browser, installation)
            for name in names:
                picture = TAKEN[name](camera).screenshot(path=folder / f"{name}.png", animations="disabled")
                size = f"{len(picture) // 1000} kB"
                print(f"{name}.png {size}{', too large' if len(picture) > LARGEST_BYTES else ''}")
        except Error as error:
            raise StackError(f"No picture could be taken: {error.message.splitlines()[0]}") from error


def main() -> int:
    """Take the pictures that are named, or all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.pictures", description="Take docs/pictures/ anew."
    )
    parser.add_argument(
        "name", nargs="*", choices=[*TAKEN, []], help=f"one of {', '.join(TAKEN)}; left out: all"
    )
    names = parser.parse_args().name or list(TAKEN)
    try:
        take(Installation.from_environment(), names)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
