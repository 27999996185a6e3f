"""Import keys that another system made: paste lines, look first, then import.

The lines hold keys in plain. They are in no page, and the server keeps none of them between two forms.
"""

from typing import Any
from urllib.parse import urlencode

from hourpass.admin import shapes
from hourpass.admin.instants import exact_moment
from hourpass.admin.operations import IMPORT_KEYS
from hourpass.core.errors import ExtraMissing
from hourpass.server.admin.key_import import ImportBatch, add_batch
from hourpass.server.console.page import PageAnswer, Shown, View, Visit
from hourpass.server.keys.importing import rows_together

PATH = "/keys/import"

MOST = 64 * 1024
"""Bytes of the lines."""

FORM_LIMIT = 4 * MOST
"""Bytes of the form. It spells a byte of the lines with up to three, and too many lines get a page that says so."""

BEFORE = b" \t\xef\xbb\xbf"
"""What may stand before an object: spaces and a byte order mark."""

NO_JSON = (
    "No line is a JSON object. If this is CSV, put it into a file and run hourpass keys import FILE: on the server’s "
    "machine, or elsewhere with --server and --admin-key-file."
)

WEAK = "Take keys that can be guessed, too"
"""What the form calls the member `accept_weak`."""

LISTED = 100
"""Failed lines that a page names, and so many whose key not every header carries. The rest is only counted."""


def _show(visit: Visit) -> PageAnswer:
    """The form for lines of keys."""
    return _page()


def _import(visit: Visit) -> PageAnswer:
    """Import the lines, or say what would become of them. The same lines again change nothing, so a reload may come."""
    text = visit.form.get("lines", "").encode()
    rows = [(number, line) for number, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    dry_run, accept_weak = visit.form.get("how") != "import", "accept_weak" in visit.form
    if not rows:
        return _page(422, problem="There is no line.")
    if not any(line.lstrip(BEFORE).startswith(b"{") for _, line in rows):
        return _page(422, problem=NO_JSON)
    if len(text) > MOST:
        return _page(413, problem="These lines are more than 64 KiB. Nothing was changed.")
    done = shapes.ImportedKeys()
    missing = ""
    try:
        together = rows_together(dry_run=dry_run)
        for start in range(0, len(rows), together):
            batch = ImportBatch(rows=rows[start : start + together], dry_run=dry_run, accept_weak=accept_weak)
            add_batch(done, visit.import_rows(batch), len(rows))
    except ExtraMissing as error:  # the batches before are imported
        missing = error.detail
    status = 422 if missing else 200
    new = urlencode({"event": "key.imported", "since": exact_moment(visit.now)}) if done.created and not dry_run else ""
    return _page(status, done=done, dry_run=dry_run, accept_weak=accept_weak, missing=missing, new=new)


def _page(status: int = 200, **values: Any) -> Shown:
    nothing = {"done": None, "dry_run": True, "accept_weak": False, "missing": "", "new": "", "listed": LISTED}
    shown = {**nothing, **values, "weak": WEAK, "in_words": lambda reason: reason.replace("accept_weak", f"“{WEAK}”")}
    shown["outcome"] = "" if shown["done"] is None else _outcome(shown["done"], dry_run=shown["dry_run"])
    return Shown("import_keys.html", shown, status)


def _outcome(done: shapes.ImportedKeys, *, dry_run: bool) -> str:
    if dry_run:
        return "Nothing was changed. Paste again to import: the server kept no line."
    if done.created or done.updated:
        return "Servers accept the keys within a second."
    return "Nothing was imported." if done.failed else "Nothing changed: every line was imported before."


VIEWS = (View(PATH, IMPORT_KEYS, _show, _import),)
