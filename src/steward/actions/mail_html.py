"""The HTML part of a mail: what may stand in it, and everything else taken out.

A mail may carry what somebody else wrote, so it is cleaned by a parser that reads HTML as browsers do. What is left cannot
run, cannot ask for anything but plain web pages and pictures, and looks as it did.
"""

from typing import Final

import nh3

from steward.actions.base import invalid

_SIZES: Final = {"width", "height", "align"}
_CELLS: Final = {*_SIZES, "valign", "colspan", "rowspan", "bgcolor"}
_TAGS: Final = {
    *("p", "div", "span", "a", "img", "br", "hr", "blockquote", "pre", "code", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "b", "i", "u", "s", "small", "sub", "sup"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th"),
}
_GONE_WITH_ALL_IN_IT: Final = {
    *("script", "style", "title", "iframe", "object", "noscript", "template", "textarea", "svg"),
}
_ATTRIBUTES: Final = {
    "*": {"style", "title", "dir", "lang"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "table": {*_SIZES, "border", "cellpadding", "cellspacing", "bgcolor"},
    **dict.fromkeys(("tr", "td", "th"), _CELLS),
}
_SIDES: Final = ("", "-top", "-right", "-bottom", "-left")
_STYLES: Final = {
    *("color", "background-color", "font-size", "font-family", "font-style", "font-weight", "line-height"),
    *("text-align", "text-decoration", "vertical-align", "width", "height", "max-width", "border-collapse"),
    *(f"{name}{side}" for name in ("padding", "margin", "border") for side in _SIDES),
}
_PROTOCOLS: Final = {"http", "https", "mailto", "cid"}
"""``cid`` only so that it is seen and refused, not silently dropped."""


def cleaned_html(html: str, *, links: bool = True) -> str:
    """Return ``html`` without what a mail may not carry: scripts and styles go with all that is in them.

    Without ``links`` nothing in it leads or calls anywhere, and what it shows stays.
    Raises ``ActionFailed`` for a picture that would have to be part of the mail, and if nothing is left.
    """
    parts: list[str] = []

    def noting(_tag: str, attribute: str, value: str) -> str | None:
        if attribute not in {"href", "src"}:
            return value
        if value.strip().lower().startswith("cid:"):
            parts.append(value)
        return value if links else None

    clean = nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags=_GONE_WITH_ALL_IN_IT,
        attributes=_ATTRIBUTES,
        attribute_filter=noting,
        filter_style_properties=_STYLES,
        url_schemes=_PROTOCOLS,
        url_relative="deny",
        link_rel=None,
    )
    if parts:
        raise invalid(
            "The html shows a picture inside the mail (cid:…), which cannot be sent; attach it, or link to it."
        )
    if not clean.strip():
        raise invalid("Nothing is left of the html once scripts and the like are taken out.")
    return clean
