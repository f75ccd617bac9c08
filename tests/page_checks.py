"""What can be wrong with a built page: each check returns the faults that it finds, in words."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr")
ADDRESSES = {"a": ("href",), "img": ("src",), "link": ("href",), "script": ("src",)}
SCHEMES = ("http", "https", "mailto", "data")  # what leads elsewhere, or nowhere


class Page(HTMLParser):
    """A page as it lies on the disk: its addresses, ids, images and headings."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.images: list[dict[str, str]] = []
        self.headings: list[tuple[str, bool]] = []
        self.equations: list[tuple[str, bool]] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element contributes."""
        values = {name: value or "" for name, value in attrs}
        self.ids.update(filter(None, (values.get("id"), values.get("name"))))
        for attribute in ADDRESSES.get(tag, ()):
            if attribute in values:
                self.links.append((tag, values[attribute]))
        inside = any(name == "article" for name, _ in self._open)
        if tag == "img" and inside:
            self.images.append(values)
        if re.fullmatch(r"h[1-6]", tag) and inside:
            self.headings.append((tag, False))
        if tag == "span" and "eqno" in values.get("class", "").split():
            self.equations.append((self._equation(), False))
        if tag == "a" and "headerlink" in values.get("class", "").split():
            self._permalink()
        if not VOID.fullmatch(tag):  # those are never closed
            self._open.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        """Leave an element, and those in it that were never closed."""
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth][0] == tag:
                del self._open[depth:]
                break

    def _equation(self) -> str:
        return self._open[-1][1].get("id", "") if self._open else ""

    def _permalink(self) -> None:
        tags = [tag for tag, _ in self._open]
        if tags and re.fullmatch(r"h[1-6]", tags[-1]) and self.headings:
            self.headings[-1] = (self.headings[-1][0], True)
        elif tags and tags[-1] == "span" and self.equations:
            self.equations[-1] = (self.equations[-1][0], True)


class Site:
    """The built pages, each parsed when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pages: dict[Path, Page] = {}

    def page(self, path: Path) -> Page:
        """Return a page."""
        if path not in self._pages:
            self._pages[path] = Page(path)
        return self._pages[path]


def broken_links(site: Site, path: Path) -> list[str]:
    """Links, fragments and images of a page that lead nowhere inside the report."""
    return [
        f"{address}: {fault}"
        for _, address in site.page(path).links
        if (fault := _fault(site, path, address)) is not None
    ]


def _fault(site: Site, path: Path, address: str) -> str | None:
    parts = urlsplit(address)
    if parts.scheme in SCHEMES or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    fragment = unquote(parts.fragment)
    if fragment and target.suffix == ".html" and fragment not in site.page(target).ids:
        return f"no #{fragment} in {target.name}"
    return None


def fetched_elsewhere(site: Site, path: Path) -> list[str]:
    """Images, scripts and style sheets of a page that need a network."""
    return [
        f"{tag} {address}"
        for tag, address in site.page(path).links
        if tag != "a" and urlsplit(address).netloc
    ]


def heading_faults(site: Site, path: Path) -> list[str]:
    """A number of h1 other than one; headings and equations without a permalink."""
    page = site.page(path)
    tops = sum(tag == "h1" for tag, _ in page.headings)
    faults = [] if tops == 1 else [f"{tops} h1 and not one"]
    faults += [f"{tag} without a permalink" for tag, linked in page.headings if not linked]
    faults += [f"{name} without a permalink" for name, linked in page.equations if not linked]
    return faults


def alt_faults(site: Site, path: Path, words: int = 4) -> list[str]:
    """Images of the text whose alternative text is missing or too short."""
    return [
        f"{image.get('src', '?')}: alt {image.get('alt')!r}"
        for image in site.page(path).images
        if len(image.get("alt", "").split()) < words
    ]


class Watch:
    """Everything that a page asks for or complains about, from the moment it is attached."""

    def __init__(self, page: Any) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._request)
        page.on("requestfailed", lambda request: self.errors.append(f"not loaded: {request.url}"))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).scheme not in ("file", "data", "blob", "about"):
            self.requests.append(request.url)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def faults(self) -> list[str]:
        """Return requests that leave the page, and errors."""
        return [f"request to {url}" for url in self.requests] + [
            f"console: {text}" for text in self.errors
        ]


def settle(page: Any) -> None:
    """Wait until a page's mathematics is drawn; of a page without any, until it is loaded."""
    page.evaluate("async () => { await window.MathJax?.startup?.promise; }")


def maths_faults(page: Any) -> list[str]:
    """TeX that a reader would see, and formulas that MathJax could not read."""
    faults: list[str] = page.evaluate(
        r"""() => {
          const faults = [];
          for (const math of document.querySelectorAll(".math"))
            if (!math.querySelector("mjx-container"))
              faults.push("not drawn: " + math.textContent.slice(0, 60));
          for (const bad of document.querySelectorAll(
              "mjx-merror, [data-mml-node=merror], [data-mjx-error]"))
            faults.push("MathJax: " + (bad.dataset.mjxError || bad.textContent).slice(0, 80));
          const raw = /\\\(|\\\[|\$\$|\\(begin|frac|partial|tanh|mathbb|pd|had|new)(?![a-zA-Z])/;
          const walk = document.createTreeWalker(
            document.querySelector("article") || document.body, NodeFilter.SHOW_TEXT);
          for (let text = walk.nextNode(); text; text = walk.nextNode())
            if (raw.test(text.data) && !text.parentElement.closest(
                "pre, code, script, style, mjx-container, textarea, .math"))
              faults.push("raw TeX: " + text.data.trim().slice(0, 60));
          return faults;
        }"""
    )
    return faults


def overflow_faults(page: Any) -> list[str]:
    """A page that is wider than its window, and what sticks out of it."""
    faults: list[str] = page.evaluate(
        """() => {
          const root = document.documentElement, width = root.clientWidth;
          if (root.scrollWidth <= width) return [];
          const wide = [...document.body.querySelectorAll("*")].filter((element) =>
            element.getBoundingClientRect().right + scrollX > width + 1);
          const names = wide.slice(-3).map((element) =>
            `${element.tagName.toLowerCase()}.${[...element.classList].join(".")}`);
          return [`${root.scrollWidth} px wide in a window of ${width}: ${names.join(", ")}`];
        }"""
    )
    return faults


def drawing_faults(page: Any, least: float = 10) -> list[str]:
    """Text of drawings that is drawn smaller than `least` pixels, or sticks out of its drawing."""
    faults: list[str] = page.evaluate(
        """(least) => [...document.querySelectorAll(".drawing svg :is(text, tspan)")].flatMap(
          (text) => {
            if (!text.checkVisibility()) return [];
            const letters = text.textContent.trim();
            const svg = text.closest("svg"), scale = svg.getScreenCTM().a;
            const size = parseFloat(getComputedStyle(text).fontSize) * scale;
            const faults = [];
            if (size < least) faults.push(`text of ${size.toFixed(1)} px in a drawing: ${letters}`);
            const box = text.getBoundingClientRect(), room = svg.getBoundingClientRect();
            if (text.tagName === "text" && (box.left < room.left - 1 || box.right > room.right + 1
                || box.top < room.top - 1 || box.bottom > room.bottom + 1))
              faults.push("text sticks out of its drawing: " + letters);
            return faults;
          })""",
        least,
    )
    return list(dict.fromkeys(faults))


def thin(page: Any, entries: int = 25) -> None:
    """Leave out what would cost minutes and tell nothing new.

    The strokes of the formulas, which are most of a page's elements and mute; the inside of their
    MathML; and of the API reference, whose entries are alike, all but the first `entries`.
    """
    page.evaluate(
        """(entries) => {
          const extra = [...document.querySelectorAll("mjx-container svg > *"),
            ...[...document.querySelectorAll("article dl.py")].slice(entries)];
          for (const element of extra) element.remove();
          for (const math of document.querySelectorAll("mjx-container math"))
            math.textContent = math.textContent;
        }""",
        entries,
    )


def axe_faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical, but for :func:`colour_faults`."""
    rules = '{ "color-contrast": { enabled: false }, "link-in-text-block": { enabled: false } }'
    return _axe(page, "document", f"{{ rules: {rules} }}")


def colour_faults(page: Any) -> list[str]:
    """Pale text, and links that look like the text around them, as axe-core sees it.

    Of all text that looks alike, the first is looked at: it, and all that it stands in, are of the
    same kind, colour and size.
    """
    looks = """(() => {
      const looks = new Map([[document, ""]]);
      const look = (element) => {
        if (!looks.has(element)) {
          const style = getComputedStyle(element);
          looks.set(element, [look(element.parentNode), element.tagName, ...["color", "opacity",
            "backgroundColor", "backgroundImage", "fontSize", "fontWeight", "textShadow",
            "textDecorationLine", "borderBottom", "filter"].map((name) => style[name])].join("|"));
        }
        return looks.get(element);
      };
      const written = (element) => element.matches("input, select, textarea")
        || [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      const seen = new Set();
      return [...document.body.querySelectorAll("*")].filter((element) => written(element)
        && element.checkVisibility({ visibilityProperty: true })
        && seen.size !== seen.add(look(element)).size);
    })()"""
    return _axe(page, looks, '{ runOnly: ["color-contrast", "link-in-text-block"] }')


def _axe(page: Any, elements: str, options: str) -> list[str]:
    if page.evaluate("() => !window.axe"):
        path = files("axe_playwright_python").joinpath("axe.min.js")
        page.evaluate(path.read_text(encoding="utf-8"))
    faults: list[str] = page.evaluate(
        f"""async () => {{
          const elements = {elements};
          if (elements.length === 0) return [];
          // Without `preload` it fetches no style sheets, which a page from a file may not.
          const options = {{ resultTypes: ["violations"], preload: false, ...{options} }};
          const result = await axe.run(elements, options);
          return result.violations
            .filter((fault) => ["serious", "critical"].includes(fault.impact))
            .map((fault) => `axe ${{fault.id}}, ${{fault.nodes.length}} times: ` + fault.nodes
              .slice(0, 3).map((node) => node.target.join(" ")
                + " " + (node.any[0]?.message || node.all[0]?.message || "")).join("; "));
        }}"""
    )
    return faults


def copy_faults(page: Any) -> list[str]:
    """Blocks of code that a reader cannot copy with a button."""
    faults: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("article div.highlight")]
          .filter((block) => block.querySelector("pre") && !block.querySelector("button.copybtn"))
          .map((block) => "no copy button: " + block.textContent.trim().slice(0, 40))"""
    )
    return faults


_STOPS = """() => {
  // What must be reached, and how each is drawn before it is.
  const appearance = (element) => {
    const style = getComputedStyle(element);
    return ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "backgroundColor",
      "borderTopColor", "color", "textDecorationLine", "textDecorationThickness"]
      .map((name) => style[name]).join("|");
  };
  const still = document.createElement("style");
  still.textContent = "*, *::before, *::after { transition: none !important; }"
    + " html { scroll-behavior: auto !important; }";
  document.head.append(still);
  const wanted = [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((element) => !element.disabled && element.type !== "hidden"
      && !element.closest("[inert]")
      && element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })
      && element.getClientRects().length);
  const before = new Map(wanted.map((element) => [element, appearance(element)]));
  window.pageStops = { wanted, reached: new Set(), unseen: new Set(), order: 0 };
  addEventListener("focusin", ({ target }) => {
    window.pageStops.order += 1;
    window.pageStops.reached.add(target);
    if (!before.has(target)) return;
    const style = getComputedStyle(target);
    // A link that covers its card draws the outline with a pseudo-element.
    const outlined = () => [null, "::before", "::after"].some((part) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(target, part);
      return outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
    });
    const drawn = appearance(target) !== before.get(target) || outlined();
    if (!drawn || style.opacity === "0") window.pageStops.unseen.add(target);
  });
  return wanted.length;
}"""

_MISSED = """() => {
  const { wanted, reached, unseen } = window.pageStops;
  const name = (element) => element.outerHTML.slice(0, 110);
  // The tab key goes to one of several radio buttons, and the arrow keys to the others.
  const grouped = (element) => element.type === "radio" && wanted.some((other) =>
    other.type === "radio" && other.name === element.name && reached.has(other));
  return [
    ...wanted.filter((element) =>
      !reached.has(element) && !grouped(element) && element.isConnected)
      .map((element) => "never reached: " + name(element)),
    ...[...unseen].map((element) => "focus not seen: " + name(element)),
  ];
}"""


def keyboard_faults(page: Any, spare: int = 40) -> list[str]:
    """Visible links, buttons and fields that the tab key does not reach, or reaches unseen.

    The key is pressed once for each of them and `spare` times more, for what else takes a focus
    (the window itself, boxes that scroll). Where it is trapped, what comes after is never reached.
    """
    stops = page.evaluate(_STOPS)
    # After each key the browser draws what is in sight: here that is little.
    page.set_viewport_size({"width": page.viewport_size["width"], "height": 50})
    for _ in range(stops + spare):
        page.keyboard.down("Tab")  # held down, it repeats
    page.keyboard.up("Tab")
    faults: list[str] = page.evaluate(_MISSED)
    return faults


def pages(folder: Path) -> Iterator[Path]:
    """Go through the built pages, those of the code included."""
    yield from sorted(path for path in folder.rglob("*.html") if "_static" not in path.parts)
