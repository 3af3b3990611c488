"""The HTML part of a mail: what may stand in it, and everything else taken out.

A mail may carry what somebody else wrote, so it is cleaned by a parser that reads HTML as browsers do. What is left cannot
run, cannot ask for anything but plain web pages and pictures, and looks as it did.
"""

from typing import Final

import nh3

from steward.actions.base import invalid

_SIZES: Final = {"width", "height", "align"}
_CELLS: Final = {*_SIZES, "valign", "colspan", "rowspan", "bgcolor"}
_CLEANER: Final = {
    "tags": {
        *("p", "div", "span", "a", "img", "br", "hr", "blockquote", "pre", "code", "ul", "ol", "li"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "b", "i", "u", "s", "small", "sub", "sup"),
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th"),
    },
    "clean_content_tags": {"script", "style", "title", "iframe", "object", "noscript", "template", "textarea", "svg"},
    "attributes": {
        "*": {"style", "title", "dir", "lang"},
        "a": {"href"},
        "img": {"src", "alt", "width", "height"},
        "ol": {"start"},
        "table": {*_SIZES, "border", "cellpadding", "cellspacing", "bgcolor"},
        "tr": _CELLS,
        "td": _CELLS,
        "th": _CELLS,
    },
    "filter_style_properties": {
        *("color", "background-color", "font-size", "font-family", "font-style", "font-weight", "line-height"),
        *("text-align", "text-decoration", "vertical-align", "width", "height", "max-width", "border-collapse"),
        *(f"{name}{side}" for name in ("padding", "margin", "border") for side in ("", "-top", "-right", "-bottom", "-left")),
    },
    "url_schemes": {"http", "https", "mailto", "cid"},
    "url_relative": "deny",
    "link_rel": None,
}


def cleaned_html(html: str) -> str:
    """Return ``html`` without what a mail may not carry: scripts and styles go with all that is in them.

    Raises ``ActionFailed`` for a picture that would have to be part of the mail, and if nothing is left.
    """
    parts: list[str] = []

    def noting(_tag: str, _attribute: str, value: str) -> str:
        if value.strip().lower().startswith("cid:"):
            parts.append(value)
        return value

    clean = nh3.clean(html, attribute_filter=noting, **_CLEANER)
    if parts:
        raise invalid("The html shows a picture inside the mail (cid:…), which cannot be sent; attach it, or link to it.")
    if not clean.strip():
        raise invalid("Nothing is left of the html once scripts and the like are taken out.")
    return clean
