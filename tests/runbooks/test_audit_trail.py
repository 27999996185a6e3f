"""docs/runbooks/audit-trail.md, on a server whose trail somebody has changed."""

import sqlite3
from contextlib import closing

VERIFY = "hourpass audit verify"


def test_a_trail_that_somebody_changed_raises_the_alarm_and_the_row_is_named(
    serve, prometheus, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target())
    server.create_key()
    prometheus.await_scraped(server.admin)
    with closing(sqlite3.connect(server.data / "hourpass.db")) as db:
        [ends] = db.execute("select * from audit_chain").fetchall()
        [(detail,)] = db.execute("select detail from audit where n = 2").fetchall()
        with db:
            db.execute("delete from audit_chain")
            db.execute("update audit set detail = '{}' where n = 2")
        server.create_key()
        book = open_runbook("audit-trail", server)
        await_symptom(book, server)

        evidence = f"{VERIFY} --json > /var/lib/hourpass/audit-verify.json"
        copied = f"{VERIFY} --database sqlite:/var/lib/hourpass/copy.db"
        said = book.run(fails={VERIFY: 1, evidence: 1, copied: 1})

        with db:  # as a restored backup would
            db.execute(f"insert into audit_chain values ({', '.join('?' * len(ends))})", ends)
            db.execute("update audit set detail = ? where n = 2", [detail])
    book.await_over()
    assert "the record of the chain's ends is missing\nline 2 was changed\n" in said[VERIFY]
    assert "line 2 was changed" in said[copied]
