"""Lost lines, ended sessions and revoked keys: the page says so, loses nothing, and comes back to the same place."""

import re

import httpx2
import pytest
from playwright.sync_api import Page, Route, expect

from tests.studio.conftest import Visit, ask, sign_in
from tests.studio.looking import Eyes, look_for_barriers
from tests.studio.wire import Wire
from tests.studio.world import World


def told(page: Page) -> list[str]:
    """Return what the page says that happened, in order."""
    return page.get_by_role("group").filter(has_text="What happened").get_by_role("listitem").all_inner_texts()


def test_a_lost_line_is_said_and_the_stream_goes_on_without_loss(world: World, visit: Visit) -> None:
    """What happens while the line is cut appears once it is mended, each event once; nothing is loaded by hand."""
    pipe = world.pipe("storm")
    with Wire(world.port) as wire:
        page = visit(world.key("lines", "developer", "finn")["key"], url=wire.url)
        ask(page, "wait for storm")
        page.get_by_role("button", name="Run it").click()
        expect(page.get_by_text("Running").first).to_be_visible()
        expect(page.get_by_text("s1 started")).to_be_visible()
        before = told(page)
        wire.cut()
        expect(page.get_by_text("Reconnecting…")).to_be_visible()
        pipe.write_text("go")
        with world.client(world.key("lines", "viewer", "gwen")["key"]) as viewer:
            expect_completed(viewer)
        assert told(page) == before
        wire.mend()
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(page.get_by_text("All of it is done")).to_be_visible()
        expect(page.get_by_text("storm came")).to_be_visible()
        lines = told(page)
        assert lines[: len(before)] == before
        assert len(set(lines)) == len(lines)


def expect_completed(viewer: httpx2.Client) -> None:
    """Follow the server's own stream until the plan is complete."""
    with viewer.stream("GET", "/ai/events", headers={"Last-Event-ID": "evt_0000000000000000"}) as stream:
        assert any("event: plan.completed" in line for line in stream.iter_lines())


def revoked_on_the_way(page: Page, world: World, key_id: str, address: str) -> None:
    """Revoke a key while the page's next request is on its way: any earlier, and its stream of events might say so first."""

    def revoke(route: Route) -> None:
        world.admin("doors").delete(f"/keys/{key_id}").raise_for_status()
        route.continue_()

    page.route(address, revoke, times=1)


def test_a_revoked_key_leads_to_the_door_and_back(world: World, visit: Visit) -> None:
    """The page says that the session has ended; with another key one is where one was, with what was written."""
    first, second = (world.key("doors", "developer", "hugo") for _ in range(2))
    page = visit(first["key"], path="/studio/jobs?status=failed")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    revoked_on_the_way(page, world, first["key_id"], "**/ai/jobs?*completed*")
    page.get_by_role("link", name="Completed").click()
    expect(page.get_by_text("Your session has ended, or its key was revoked")).to_be_visible()
    look_for_barriers(page)
    sign_in(page, second["key"])
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    assert page.url.endswith("/studio/jobs?status=completed")


def test_the_sentence_survives_the_end_of_a_session(world: World, visit: Visit) -> None:
    """Whoever had written something and is asked to sign in again finds it as it was."""
    first, second = (world.key("doors", "developer", "ines") for _ in range(2))
    page = visit(first["key"])
    page.get_by_label("Your request").fill("write 'half a thought' to note.txt")
    revoked_on_the_way(page, world, first["key_id"], "**/ai/plan")
    page.get_by_role("button", name="Make a plan").click()
    page.get_by_text("Your session has ended").wait_for()
    sign_in(page, second["key"])
    expect(page.get_by_label("Your request")).to_have_value("write 'half a thought' to note.txt")
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key or one-time code").wait_for()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    sign_in(page, second["key"])
    expect(page.get_by_label("Your request")).to_have_value("")


def test_the_code_of_the_first_start_signs_in_once(world: World, visit: Visit, eyes: Eyes) -> None:
    """The link that is printed fills it in and leaves no trace in the address; the key is nowhere that a script could read."""
    page = visit(path=f"/#code={world.code}")
    expect(page.get_by_label("API key or one-time code")).to_have_value(world.code)
    assert page.url == f"{world.url}/"
    look_for_barriers(page)
    eyes.picture(page, "sign-in")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="What do you want done?")).to_be_focused()
    expect(page.get_by_text("default")).to_be_visible()
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert "stw_" not in kept
    assert world.code not in kept
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    again = visit(path=f"/#code={world.code}")
    again.get_by_role("button", name="Sign in").click()
    expect(again.get_by_role("alert")).to_contain_text("The code is wrong, used or too old")


@pytest.mark.parametrize("credential", ["stw_nobody_xxxx", "not a code"])
def test_a_wrong_credential_is_said_in_words(world: World, visit: Visit, credential: str) -> None:
    """It says what to do, and stays where it is."""
    page = visit()
    page.get_by_label("API key or one-time code").fill(credential)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("key|code"))
