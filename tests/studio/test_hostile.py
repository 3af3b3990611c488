"""What strangers and tricksters write is shown as what it is: text, never as a part of the page."""

from playwright.sync_api import Page, expect

from tests.studio.conftest import Visit, ask
from tests.studio.looking import Eyes, look_for_barriers
from tests.studio.studio_actions import HOSTILE
from tests.studio.world import World

IMG = "<img src=x onerror=\"window.hit = 'prompt'\">"
LONG = "x" * 400


def untouched(page: Page) -> bool:
    """Say whether nothing that was written has run, or become an element."""
    return page.evaluate("window.hit === undefined && !document.querySelector('main script, main img')")


def test_scripts_in_every_field_are_text(world: World, visit: Visit, eyes: Eyes) -> None:
    """In the sentence, a subject, a text, a question, a policy's reason, a comment: all shown, none run."""
    policy = '@reason("Careful <b onclick=alert(1)>")\nforbid (principal, action == Action::"email.send:unattended", resource);'
    world.admin("hostile").put("/policies/odd", json={"text": policy}).raise_for_status()
    key = world.key("hostile", "admin", "dora")["key"]
    page = visit(key, viewport={"width": 360, "height": 740})
    ask(page, f'send an email to team@example.com with subject "{LONG}" saying "<script>window.hit = 1</script>"')
    for words in ("Careful <b onclick=alert(1)>", "<script>window.hit = 1</script>", LONG):
        expect(page.get_by_text(words).first).to_be_visible()
    assert untouched(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a long word breaks"
    look_for_barriers(page)
    page.get_by_role("button", name="Send for approval").click()
    page.get_by_role("link", name="Look and decide").click()
    page.get_by_label("Comment").fill(IMG)
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text(IMG)).to_be_visible()
    assert untouched(page)
    page.goto(f"{world.url}/studio/%3Cimg%20src=x%3E")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    assert untouched(page)


def test_what_a_stranger_wrote_is_marked_untrusted_and_cannot_hide(world: World, visit: Visit, eyes: Eyes) -> None:
    """A value from elsewhere is marked in the plan; in the result, markup is text and characters that turn text are visible."""
    key = world.key("hostile", "admin", "dora")["key"]
    page = visit(key)
    ask(page, "look into the letterbox and then write it to post.txt")
    step = page.get_by_role("listitem", name="s2")
    expect(step.get_by_text("Untrusted")).to_be_visible()
    expect(step).to_contain_text("from s1 (sample.hostile)")
    eyes.picture(page, "untrusted")
    page.get_by_role("button", name="Run it").or_(page.get_by_role("button", name="Send for approval")).click()
    result = page.get_by_role("listitem", name="s1")
    expect(result).to_contain_text(HOSTILE.replace("\u202e", "U+202E"))
    assert untouched(page)
    look_for_barriers(page)
