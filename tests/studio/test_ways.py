"""Other ways through the page: keys instead of a pointer, a phone, questions, changes, doubts, many jobs."""

from playwright.sync_api import Page, expect

from tests.drifting import let_drift
from tests.studio.conftest import Visit, ask, sign_in
from tests.studio.looking import Eyes, look_for_barriers, sticks_out
from tests.studio.world import POLICY, World

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def tab_to(page: Page, name: str) -> None:
    """Press Tab until something with this name has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("(e => (e.labels?.[0] ?? e).textContent.trim() || e.ariaLabel)(document.activeElement)")
        if name in focused:
            return
    raise AssertionError(f"Tab never comes to {name}")


def test_keys_alone_are_enough(world: World, visit: Visit) -> None:
    """Sign in, skip to the content, ask, run, go to jobs, open one, list the keys; the focus is always somewhere that shows."""
    page = visit()
    expect(page.get_by_label("API key or one-time code")).to_be_focused()
    page.keyboard.type(world.key("keys", "developer", "jane")["key"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What do you want done?")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Your request")).to_be_focused()
    page.keyboard.type("write 'by hand' to hand.txt")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("region", name="The plan")).to_be_focused()
    tab_to(page, "Run it")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="write 'by hand' to hand.txt")).to_be_focused()
    expect(page.get_by_text("All of it is done")).to_be_visible()
    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    expect(page.get_by_role("list", name="Jobs").get_by_role("link")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Write a file")).to_be_focused()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    look_for_barriers(page)
    dialog.get_by_label("Single keys do something").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Write a file")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Write a file")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()


def test_a_phone_shows_everything_without_scrolling_sideways(world: World, visit: Visit, eyes: Eyes) -> None:
    """Each screen at 360 pixels: nothing sticks out, and the plan can be read and run."""
    page = visit(**PHONE)
    assert sticks_out(page) == 0
    sign_in(page, world.key("phones", "admin", "kim")["key"])
    assert sticks_out(page) == 0
    ask(
        page,
        "write 'a-very-long-word-without-any-place-to-break-it-that-goes-on-and-on-and-on' to a/very/long/way/to/a/file.txt",
    )
    assert sticks_out(page) == 0
    look_for_barriers(page)
    eyes.picture(page, "phone-plan")
    page.get_by_role("button", name="Run it").click()
    expect(page.get_by_text("All of it is done")).to_be_visible()
    assert sticks_out(page) == 0
    for name in ("Approvals", "Requests", "Jobs"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.get_by_text("Loading")).to_have_count(0)
        assert sticks_out(page) == 0, name
        look_for_barriers(page)
    eyes.picture(page, "phone-jobs")


def test_a_question_is_answered_where_the_plan_will_be(world: World, visit: Visit) -> None:
    """Something is missing: the page asks, the answer becomes the plan."""
    page = visit(world.key("questions", "developer", "lou")["key"])
    ask(page, "send an email to team@example.com")
    look_for_barriers(page)
    form = page.get_by_role("region", name="The plan")
    form.get_by_role("textbox").first.fill("The lift is repaired.")
    page.get_by_role("button", name="Answer").click()
    expect(page.get_by_role("listitem", name="Send an e-mail")).to_contain_text("The lift is repaired.")
    page.reload()
    expect(page.get_by_role("listitem", name="Send an e-mail")).to_contain_text("The lift is repaired.")
    expect(page.get_by_label("Your request")).to_have_value("send an email to team@example.com")


def test_a_value_is_changed_and_checked_again(world: World, visit: Visit) -> None:
    """The new plan has the new value and another digest; what was denied before can be changed until it is not."""
    key = world.key("changes", "developer", "mia")["key"]
    page = visit(key)
    ask(page, "write 'first thought' to note.txt")
    before = page.get_by_text("Your yes is to exactly this plan").inner_text()
    page.get_by_text("As curl").click()
    expect(page.get_by_text("Bearer $STEWARD_API_KEY")).to_contain_text("first thought")
    page.get_by_role("button", name="Change a value").click()
    look_for_barriers(page)
    page.get_by_role("listitem", name="Write a file").get_by_label("text").fill("second thought")
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("listitem", name="Write a file")).to_contain_text("second thought")
    expect(page.get_by_role("listitem", name="Write a file")).to_contain_text("Set by the plan")
    assert page.get_by_text("Your yes is to exactly this plan").inner_text() != before
    page.get_by_role("button", name="Run it").click()
    expect(page.get_by_text("All of it is done")).to_be_visible()


def test_nobody_can_run_what_policy_denies(world: World, visit: Visit, eyes: Eyes) -> None:
    """The step says who denies it and why, and there is no button to run it."""
    text = '@reason("Nothing is written on Fridays.")\nforbid (principal, action == Action::"file.write", resource);'
    key = world.key("fridays", "developer", "nora")["key"]
    page = visit(key)
    ask(page, "write 'tea' to friday.txt")
    world.admin("fridays").put("/policies/fridays", json={"text": text}).raise_for_status()
    page.get_by_role("button", name="Change a value").click()
    page.get_by_role("button", name="Check again").click()
    step = page.get_by_role("listitem", name="Write a file")
    expect(step).to_contain_text("Denied")
    expect(step).to_contain_text("Nothing is written on Fridays.")
    expect(page.get_by_role("button", name="Run it")).to_have_count(0)
    expect(page.get_by_text("Your yes")).to_have_count(0)
    look_for_barriers(page)
    eyes.picture(page, "denied")


def test_a_doubt_is_explained_and_settled(world: World, visit: Visit, eyes: Eyes) -> None:
    """An unknown outcome says so, explains itself, and goes on once somebody has looked."""
    page = visit(world.key("doubts", "developer", "otto")["key"])
    ask(page, "doubt everything")
    page.get_by_role("button", name="Run it").click()
    expect(page.get_by_text("Outcome unknown")).to_be_visible()
    expect(page.get_by_text("Nobody knows whether 1 step happened.")).to_be_visible()
    page.get_by_role("link", name="s1 Doubt").click()
    expect(page.get_by_role("listitem", name="Doubt")).to_be_in_viewport()
    page.get_by_role("button", name="Explain s1").click()
    expect(page.get_by_text("somebody has to look and resolve it")).to_be_visible()
    page.get_by_role("button", name="Say what happened…").click()
    dialog = page.get_by_role("dialog")
    look_for_barriers(page)
    eyes.picture(page, "settle", whole=False)
    dialog.get_by_label("It happened").check()
    dialog.get_by_label("How you know").fill("It is in the sent folder.")
    dialog.get_by_role("button", name="Settle it").click()
    expect(dialog).not_to_be_visible()
    expect(page.get_by_text("All of it is done")).to_be_visible()


def test_what_is_not_there_leads_back(world: World, visit: Visit) -> None:
    """Trying again would not bring it, so there is a way to what is there instead."""
    page = visit(world.key("lost", "admin", "rex")["key"])
    for kind, name in (("plans", "Requests"), ("jobs", "Jobs"), ("approvals", "Approvals")):
        page.goto(f"{world.url}/studio/{kind}/{kind[:4]}_nothing")
        page.get_by_role("alert").get_by_role("link").click()
        expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()


def test_what_has_not_started_is_cancelled(world: World, visit: Visit) -> None:
    """One button stops a plan that waits; the page says so by itself."""
    world.pipe("never")
    page = visit(world.key("stops", "developer", "pia")["key"])
    ask(page, "wait for never")
    page.get_by_role("button", name="Run it").click()
    page.get_by_role("button", name="Cancel what has not started").click()
    expect(page.get_by_text("Cancelled").first).to_be_visible()


def test_many_jobs_are_filtered_loaded_and_tried_again(world: World, visit: Visit, eyes: Eyes) -> None:
    """Filters stand in the address, more is loaded on demand, few rows exist at a time, and failed ones are retried together."""
    with world.client(world.key("many", "developer", "quinn")["key"]) as client:
        good = [{"action_id": "compute", "params": {"value": number}} for number in range(40)]
        oldest, *_ = [client.post("/ai/execute", json={"actions": good}).raise_for_status().json() for _ in range(3)]
        bad = [{"action_id": "sample.refuse", "params": {"text": "mended"}} for _ in range(3)]
        client.post("/ai/execute", json={"actions": bad}).raise_for_status()
        with client.stream("GET", "/ai/events", headers={"Last-Event-ID": "evt_0000000000000000"}) as stream:
            ends = (line for line in stream.iter_lines() if line in {"event: plan.completed", "event: plan.failed"})
            assert len([next(ends) for _ in range(4)]) == 4
    page = visit(world.key("many", "admin", "rosa")["key"], path="/studio/jobs")
    rows = page.get_by_role("list", name="Jobs").get_by_role("listitem")
    expect(page.get_by_text("50 jobs loaded")).to_be_visible()
    page.get_by_label("Search").fill(oldest["plan_id"])
    expect(page.get_by_text("Nothing that is loaded matches.")).to_be_visible()
    page.get_by_role("button", name="Search older jobs").click()
    expect(page.get_by_text("123 jobs loaded")).to_be_visible()
    expect(rows.first).to_have_attribute("aria-setsize", "40")
    page.get_by_label("Search").fill("")
    assert rows.count() < 60
    look_for_barriers(page)
    eyes.picture(page, "jobs", whole=False)
    page.get_by_role("link", name="Failed", exact=True).click()
    expect(rows).to_have_count(3)
    assert page.url.endswith("?status=failed")
    (world.folder / "mended").touch()
    page.get_by_role("button", name="Choose all that failed (3)").click()
    page.get_by_role("button", name="Try 3 jobs again").click()
    expect(page.get_by_text("3 jobs are tried again.")).to_be_visible()
    expect(rows.filter(has_text="Completed")).to_have_count(3)
    page.go_back()
    expect(page.get_by_role("link", name="All", exact=True)).to_have_attribute("aria-current", "true")
    page.get_by_label("Search").fill("nothing like this")
    expect(page.get_by_text("Nothing that is loaded matches.")).to_be_visible()


def test_what_changed_after_a_yes_stands_in_a_table(world: World, visit: Visit) -> None:
    """A step that is no longer as it was approved: the job and the approval show each field as it was and as it is."""
    world.admin("drifts").put("/policies/look_first", json={"text": POLICY}).raise_for_status()
    page = visit(world.key("drifts", "admin", "pia")["key"])
    ask(page, 'send an email to team@example.com with subject "Rent" saying "Pay 100."')
    page.get_by_role("button", name="Send for approval").click()
    expect(page.get_by_text("It waits for a person.")).to_be_visible()
    approver = world.client(world.key("drifts", "approver", "rob")["key"])
    (approval,) = approver.get("/ai/approvals").raise_for_status().json()["approvals"]
    let_drift(world.folder / "home", approval["plan_id"], "Pay 100.", "Pay 900.")
    path = f"/ai/approvals/{approval['approval_id']}"
    approver.post(f"{path}/approve", json={"digest": approval["digest"]}).raise_for_status()
    approver.close()
    changed = page.get_by_role("table", name="What has changed")
    expect(changed.get_by_role("row").last).to_contain_text("text")
    expect(changed.get_by_role("cell")).to_have_text(["text", "Pay 900.", "Pay 100."])
    look_for_barriers(page)
    page.goto(f"{world.url}/studio/approvals/{approval['approval_id']}")
    expect(page.get_by_role("heading", name="What has changed since")).to_be_visible()
    expect(changed.get_by_role("cell")).to_have_text(["s1 text", "Pay 900.", "Pay 100."])
    look_for_barriers(page)
