"""The whole way by labels that people see: ask, read, have it approved, watch, see the mail arrive, find it again."""

from playwright.sync_api import expect

from tests.studio.conftest import Visit, ask
from tests.studio.looking import Eyes, look_for_barriers
from tests.studio.world import POLICY, World


def test_a_sentence_becomes_an_approved_and_delivered_plan(world: World, visit: Visit, eyes: Eyes) -> None:
    """Ann asks, Bob approves, the mail arrives once, Ann finds the job a screen later, and an auditor all of it; nobody types
    an address or an id.
    """
    world.admin("office").put("/policies/look_first", json={"text": POLICY}).raise_for_status()
    ann = visit(world.key("office", "developer", "ann")["key"])
    look_for_barriers(ann)
    eyes.picture(ann, "ask")
    ask(ann, 'send an email to team@example.com with subject "Lift" saying "The lift is repaired."')
    step = ann.get_by_role("listitem", name="Send an e-mail")
    for words in (
        "Asks a person",
        "Mail is looked at by somebody else first.",
        "team@example.com",
        "From the request",
        "cannot be undone",
    ):
        expect(step.get_by_text(words).first).to_be_visible()
    expect(step).to_contain_text("but not whoever asked for it, before anything starts")
    look_for_barriers(ann)
    eyes.picture(ann, "plan")
    ann.get_by_role("button", name="Send for approval").click()
    expect(ann.get_by_text("It waits for a person.")).to_be_visible()
    expect(ann.get_by_text("Live", exact=True)).to_be_visible()
    assert not world.mailbox.letters

    bob = visit(world.key("office", "approver", "bob")["key"])
    bob.get_by_role("link", name="Approvals").click()
    bob.get_by_role("link", name="Mail is looked at by somebody else first.").click()
    expect(bob.get_by_role("heading", name="Approve this plan?")).to_be_focused()
    expect(bob.get_by_role("listitem", name="Send an e-mail")).to_contain_text("The lift is repaired.")
    look_for_barriers(bob)
    eyes.picture(bob, "approval")
    bob.get_by_label("Comment").fill("Seen it myself.")
    bob.get_by_role("button", name="Approve").click()
    expect(bob.get_by_text("Approved").first).to_be_visible()
    expect(bob.get_by_text("Seen it myself.")).to_be_visible()

    expect(ann.get_by_text("1 of 1 done")).to_be_visible()  # by itself: nobody touched Ann's page
    expect(ann.get_by_text("All of it is done")).to_be_visible()
    assert [(letter["To"], letter["Subject"]) for letter in world.mailbox.letters] == [("team@example.com", "Lift")]
    look_for_barriers(ann)
    eyes.picture(ann, "run")
    ann.get_by_role("link", name="Jobs").click()
    row = ann.get_by_role("list", name="Jobs").get_by_role("listitem")
    expect(row).to_contain_text("Send an e-mail")
    expect(row).to_contain_text("Completed")
    look_for_barriers(ann)
    row.get_by_role("link").click()
    expect(ann.get_by_text("Attempt 1")).to_be_visible()
    look_for_barriers(ann)
    eyes.picture(ann, "job")
    ann.get_by_role("link", name="Requests").click()
    expect(ann.get_by_role("link", name="The lift is repaired.")).to_contain_text("Completed")
    look_for_barriers(ann)
    eyes.picture(ann, "requests")

    uma = visit(world.key("office", "auditor", "uma")["key"])
    for kind, words in (("approval.decided", "A person decided"), ("job.completed", "A step was done")):
        uma.get_by_label("What happened").select_option(kind)
        uma.get_by_role("button", name="Show", exact=True).click()
        expect(uma.get_by_role("row").filter(has_text=words)).to_have_count(1)


def test_a_person_may_not_approve_what_they_asked_for(world: World, visit: Visit) -> None:
    """Where another person must decide, whoever asked can only say no; another key of theirs is refused in words; nothing is sent."""
    world.admin("twins").put("/policies/look_first", json={"text": POLICY}).raise_for_status()
    sent = len(world.mailbox.letters)
    page = visit(world.key("twins", "admin", "cleo")["key"])
    ask(page, 'send an email to team@example.com with subject "Self" saying "Mine."')
    page.get_by_role("button", name="Send for approval").click()
    page.get_by_role("link", name="Look and decide").click()
    expect(page.get_by_text("You asked for it, so somebody else has to approve")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    look_for_barriers(page)
    again = visit(world.key("twins", "admin", "cleo")["key"], path=page.url.removeprefix(world.url))
    again.get_by_role("button", name="Approve").click()
    expect(again.get_by_role("alert")).to_contain_text("ask somebody else")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("Rejected").first).to_be_visible()
    assert len(world.mailbox.letters) == sent
