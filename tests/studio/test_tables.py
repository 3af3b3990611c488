"""The screens that are read: what actions there are, which rule decides, what was recorded, and who is in the workspace."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.studio.conftest import Visit
from tests.studio.looking import Eyes, look_for_barriers, sticks_out
from tests.studio.world import World

REASON = 'Nothing <b onclick="window.hit = 1">is written</b> on Fridays.'
POLICY = f'@reason({json.dumps(REASON)})\nforbid (principal, action == Action::"file.write", resource);'
SETTINGS = {
    "own_domains": ["example.com"],
    "caps": {"email.*": {"max_running": 4}},
    "budgets": {"messages_out": {"limit": 500, "window_s": 86400}},
}


@pytest.fixture(scope="module", autouse=True)
def furnished(world: World) -> None:
    """Give the workspace a rule, limits, and something in its audit."""
    admin = world.admin("tables")
    admin.put("/policies/fridays", json={"text": POLICY}).raise_for_status()
    admin.put("/workspaces/tables/settings", json={"settings": SETTINGS}).raise_for_status()
    admin.put("/members/zed", json={"name": "<img src=x onerror='window.hit = 1'>"}).raise_for_status()
    with world.client(world.key("tables", "developer", "yan")["key"]) as yan:
        write = {"action_id": "file.write", "params": {"path": "a.txt", "text": "tea"}}
        yan.post("/actions/preview", json=write).raise_for_status()
        for number in range(30):
            count = {"action_id": "compute", "params": {"value": number}}
            yan.post("/actions/preview", json=count).raise_for_status()


def go(page: Page, name: str) -> None:
    """Go to a screen as a person does."""
    page.get_by_role("navigation", name="Screens").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()


def test_an_admin_reads_all_of_it(world: World, visit: Visit, eyes: Eyes) -> None:
    """An action with its parameters, the rule that decides a call for each role, the records, the chain, the limits and the keys."""
    page = visit(world.key("tables", "admin", "ida")["key"])
    go(page, "Actions")
    expect(page.get_by_role("row", name="Have a model find a value")).to_contain_text("Set AI_MODEL")
    page.get_by_label("Search").fill("file replacing")
    expect(page.get_by_role("row")).to_have_count(2)
    look_for_barriers(page)
    page.get_by_label("Search").fill("")
    eyes.picture(page, "actions")
    page.get_by_role("link", name="Write a file").click()
    takes = page.get_by_role("table", name="What it takes")
    expect(takes.get_by_role("row", name="path")).to_contain_text("Where it goes")
    expect(page.get_by_text("Cannot be undone: replaces what was in the file")).to_be_visible()
    page.get_by_label("path", exact=True).fill("b.txt")
    page.get_by_label("text", exact=True).fill("tea")
    page.get_by_role("button", name="Which rule decides?").click()
    decisions = page.get_by_role("table", name="Decisions")
    for who in ("Admins", "Developers", "Approvers", "Viewers"):
        expect(decisions.get_by_role("row", name=who)).to_contain_text(REASON)
    expect(decisions.get_by_role("row", name="Developers")).to_contain_text("Denied")
    look_for_barriers(page)
    eyes.picture(page, "action")

    go(page, "Policy")
    own = page.get_by_role("article", name="fridays")
    expect(own.get_by_text(REASON, exact=True)).to_be_visible()
    expect(own).to_contain_text("by the admin")  # what a key without an owner is called
    expect(own.get_by_role("region", name="Text of fridays")).to_contain_text("forbid (principal")
    expect(page.get_by_role("row", name="untrusted_secret")).to_contain_text("On")
    page.get_by_label("Action").select_option("email.send")
    page.get_by_label("to", exact=True).fill("nobody")
    page.get_by_role("button", name="Which rule decides?").click()
    expect(page.get_by_role("alert")).to_contain_text("do not fit its schema")
    page.get_by_label("to", exact=True).fill("team@example.com")
    page.get_by_label("text", exact=True).fill("The lift is repaired.")
    page.get_by_role("button", name="Which rule decides?").click()
    expect(page.get_by_role("row", name="Developers")).to_contain_text("Runs")
    expect(page.get_by_role("row", name="Viewers")).to_contain_text("does not run anything")
    look_for_barriers(page)
    eyes.picture(page, "policy", whole=False)

    go(page, "Workspace")
    expect(page.get_by_role("table", name="Budgets").get_by_role("row", name="Messages sent")).to_contain_text(
        "0 of 500"
    )
    expect(page.get_by_role("row", name="ida at the desk")).to_contain_text("admin")
    expect(page.get_by_role("region", name="You")).to_contain_text("Ida")
    expect(page.get_by_role("row", name="zed")).to_contain_text("<img src=x onerror='window.hit = 1'>")
    assert "stw_" not in page.content()
    look_for_barriers(page)
    eyes.picture(page, "workspace")
    assert page.evaluate("window.hit === undefined")


def test_an_auditor_finds_a_record_and_takes_its_evidence(world: World, visit: Visit, eyes: Eyes) -> None:
    """The first page is the one that the role is for; filters stand in the address, pages follow one another, the chain is
    checked, and the file can be verified elsewhere.
    """
    page = visit(world.key("tables", "auditor", "uma")["key"], path="/")
    expect(page).to_have_url(re.compile("/studio/audit$"))
    expect(page.get_by_text("50 records loaded")).to_be_visible()
    page.get_by_role("button", name="Load more").click()
    expect(page.get_by_text(re.compile("(100 records loaded|[0-9]+ records in all)"))).to_be_visible()
    page.get_by_label("What happened").select_option("policy.decided")
    page.get_by_role("button", name="Show", exact=True).click()
    assert page.url.endswith("?kind=policy.decided")
    denied = page.get_by_role("row", name="by rule workspace/fridays").first
    expect(denied).to_contain_text("deny")
    denied.get_by_role("button", name="Details").click()
    page.get_by_role("link", name="All records of this request").click()
    expect(page.get_by_role("row")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the evidence").first.click()
    evidence = json.loads(download.value.path().read_text())
    assert download.value.suggested_filename == f"evidence-{evidence['plan_id']}.json"
    assert evidence["signature"]
    page.get_by_role("button", name="Check the chain").click()
    expect(page.get_by_role("region", name="Is the chain whole?")).to_contain_text("✓ Whole")
    look_for_barriers(page)
    page.get_by_label("Place noted earlier, if any").fill(f"1:{'0' * 64}")
    page.get_by_role("button", name="Check the chain").click()
    expect(page.get_by_text("Record 1 is not the one that was noted.")).to_be_visible()
    page.get_by_role("link", name="Show everything").click()
    expect(page.get_by_text("50 records loaded")).to_be_visible()
    page.get_by_role("button", name="Details").first.click()
    eyes.picture(page, "audit", whole=False)


def test_a_role_that_may_not_read_something_is_told_who_may(world: World, visit: Visit) -> None:
    """One sentence each, no error and no request: not even a record of a refusal is made."""
    key = world.key("tables", "viewer", "vic")
    page = visit(key["key"])
    expect(page.get_by_role("navigation", name="Screens")).not_to_contain_text("Policy")
    for screen, sentence in (
        ("policy", "The policies can be read by an admin of this workspace."),
        ("audit", "The audit can be read by an auditor or admin of this workspace."),
        ("workspace", "Settings, members and keys can be read by an admin of this workspace."),
    ):
        page.goto(f"{world.url}/studio/{screen}")
        expect(page.get_by_text(sentence)).to_be_visible()
        look_for_barriers(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    records = world.admin("tables").get("/audit", params={"kind": "request.denied", "actor": key["key_id"]})
    assert records.raise_for_status().json()["count"] == 0
    go(page, "Actions")
    page.get_by_role("link", name="Fetch a web address").click()
    expect(page.get_by_text("To plan only")).to_be_visible()
    page.get_by_label("url").fill("https://example.com/")
    page.get_by_role("button", name="Which rule decides?").click()
    expect(page.get_by_role("row", name="You")).to_contain_text("Plans it only")
    page.get_by_role("link", name="Look at the draft").click()
    expect(page.get_by_role("listitem", name="Fetch a web address")).to_be_visible()


def test_on_a_phone_tables_are_cards_and_keys_are_enough(world: World, visit: Visit) -> None:
    """Nothing sticks out at 320 pixels; letters lead to the screens, rows are walked with j and opened with Enter."""
    page = visit(world.key("tables", "admin", "ida")["key"], viewport={"width": 320, "height": 700})
    for key, name, there in (
        ("c", "Actions", "file.write"),
        ("o", "Policy", "untrusted_secret"),
        ("u", "Audit", "records loaded"),
        ("w", "Workspace", "ida at the desk"),
    ):
        page.locator("h1").wait_for()
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()
        expect(page.get_by_text(there).first).to_be_visible()
        assert sticks_out(page) == 0, name
    look_for_barriers(page)
    page.keyboard.press("u")
    expect(page.get_by_text("records loaded")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Hash before")).to_be_visible()
    assert sticks_out(page) == 0
    expect(page.get_by_role("link", name="Audit")).to_be_in_viewport()


def test_jobs_say_how_the_work_goes(world: World, visit: Visit) -> None:
    """What ended stands there when the page opens, and what ends later comes by itself."""
    one = {"actions": [{"action_id": "compute", "params": {"value": 1}}]}
    with world.client(world.key("paces", "developer", "wes")["key"]) as client:
        client.post("/ai/execute", json=one).raise_for_status()
        page = visit(world.key("paces", "viewer", "xia")["key"], path="/studio/jobs")
        figures = page.get_by_role("figure")
        expect(figures.first).to_contain_text("1 done")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        client.post("/ai/execute", json=one).raise_for_status()
        expect(figures.first).to_contain_text("2 done")
        expect(figures.last).to_contain_text("0 ready to run")


def test_requests_that_come_meanwhile_push_none_out_of_the_list(world: World, visit: Visit) -> None:
    """More are loaded, then one is made elsewhere: it stands at the top by itself, and each other one is still there, once."""
    key = world.key("growing", "developer", "amy")["key"]
    with world.client(key) as amy:

        def ask_for(number: int) -> None:
            amy.post("/ai/plan", json={"prompt": f"write 'tea' to {number:02}.txt"}).raise_for_status()

        for number in range(55):
            ask_for(number)
        page = visit(key, path="/studio/plans")
        requests = page.get_by_role("main").get_by_role("listitem").get_by_role("link")
        expect(requests.filter(has_text=".txt")).to_have_count(50)
        page.get_by_role("button", name="Load more").click()
        expect(requests.filter(has_text=".txt")).to_have_count(55)
        ask_for(55)
        expect(requests.filter(has_text="55.txt")).to_be_visible()
        expect(requests.filter(has_text=".txt")).to_have_count(56)
        assert len(set(requests.filter(has_text=".txt").all_inner_texts())) == 56
