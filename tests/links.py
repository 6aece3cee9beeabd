"""Every relative link of the pages leads to a file, and every anchor to a heading of its page. Prints those that do not."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ["*.md", "docs/*.md", "benches/*.md", "bindings/*/*.md", "examples/*/*.md"]
PAGES = [page for place in PLACES for page in sorted(ROOT.glob(place))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return CODE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def main() -> int:
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in LINK.findall(prose(page))
        if not re.match(r"[a-z]+:", link) and not leads_somewhere(page, link)
    ]
    print("\n".join(lost) or f"every link of {len(PAGES)} pages leads somewhere")
    return bool(lost)


sys.exit(main())
