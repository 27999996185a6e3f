"""`hourpass keys import`: files of keys, what is said of them, and what is never said."""

import csv
import hashlib
import hmac
import io
import json

import pytest

from hourpass.server.keys.importing import TOGETHER

KEY = "sk_live_Zk3vQ8mW1xT6bY9cR4nL"
OTHER = "sk_live_pL2sD7fG5hJ9kM3nB8vC"
COUNTS = {"created": 0, "updated": 0, "unchanged": 0, "failed": 0}


def csv_of(*rows: dict[str, str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def load(hourpass, text: str, *arguments: str, code: int = 0):
    return hourpass("keys", "import", "-", *arguments, input=text, code=code)


def counts(done) -> dict[str, int]:
    return json.loads(done.stdout)


def test_a_csv_file_is_imported_and_its_keys_are_exchanged(hourpass, tmp_path):
    file = tmp_path / "keys.csv"
    file.write_text(csv_of({"key": KEY, "name": "Łódź, Zürich", "scope": "a", "external_id": "7"}))

    done = hourpass("keys", "import", str(file), "--json")

    assert counts(done) == {**COUNTS, "created": 1}
    assert "1 created, 0 updated, 0 unchanged, 0 failed" in done.stderr
    [listed] = hourpass.json("keys", "list")
    assert (listed["name"], listed["scope"]) == ("Łódź, Zürich", "a")
    assert hourpass.json("keys", "list", "--external-id", "7") == [listed]
    assert hourpass.json("keys", "list", "--external-id", "8") == []
    assert hourpass.exchange(KEY).scope == "a"


def test_json_lines_are_imported(hourpass, tmp_path):
    file = tmp_path / "keys.jsonl"
    hashed = hashlib.sha256(OTHER.encode()).hexdigest()
    rows = [{"key": KEY, "name": "a", "claims": {"seats": 5}}, {"hash": hashed, "algorithm": "sha256", "name": "b"}]
    file.write_text("\n\n".join(json.dumps(row) for row in rows))

    assert counts(hourpass("keys", "import", str(file), "--json")) == {**COUNTS, "created": 2}
    assert hourpass.exchange(OTHER)


def test_the_same_file_again_changes_nothing_and_a_newer_one_updates(hourpass):
    old, new = (csv_of({"key": KEY, "name": "a", "scope": scope}) for scope in ("a", "b"))
    load(hourpass, old)

    assert counts(load(hourpass, old, "--json")) == {**COUNTS, "unchanged": 1}
    assert counts(load(hourpass, new, "--json")) == {**COUNTS, "updated": 1}


def test_failed_rows_are_named_by_their_lines_and_stop_no_other(hourpass, tmp_path):
    report = tmp_path / "report.jsonl"
    text = f'key,name,scope\n"{KEY}","two\nlines",a\n\nshort,b,c\n{OTHER},c,"a""b"\n{OTHER},d\n{OTHER}x,d,\n'

    done = load(hourpass, text, "--json", "--report", str(report), code=1)

    assert counts(done) == {**COUNTS, "created": 1, "failed": 4}
    assert done.stderr.splitlines()[:5] == [
        f"Database: {hourpass.name}",
        "line 2: name: not 1 to 200 printable characters",
        "line 5: key: not 16 to 512 visible ASCII characters",
        "line 6: scope: not scopes separated by spaces alone",
        "line 7: 2 cells, but the header has 3",
    ]
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(line["line"], line["result"]) for line in lines] == [
        (2, "failed"), (5, "failed"), (6, "failed"), (7, "failed"), (8, "created"),
    ]  # fmt: skip
    assert lines[-1]["key_id"] == hourpass.json("keys", "list")[0]["key_id"]


def test_what_is_broken_in_a_file_is_a_failed_row(hourpass):
    text = f'key,name\n"{KEY}"x,a\n{KEY},b\n'.encode() + f"{OTHER},\xff\n".encode("latin-1")

    done = load(hourpass, text.decode("latin-1"), "--json", code=1)

    assert counts(done)["created"] == 2  # standard input is text here: the broken byte became a letter
    assert "line 2: not CSV: a quote that is not closed, or not doubled" in done.stderr


def test_a_line_that_is_not_utf_8_is_a_failed_row(hourpass, tmp_path):
    for name, text in (("a.csv", f"key,name\n{KEY},\xff\n"), ("a.jsonl", f'{{"key": "{KEY}", "name": "\xff"}}\n')):
        (tmp_path / name).write_bytes(text.encode("latin-1"))

        done = hourpass("keys", "import", str(tmp_path / name), "--json", code=1)

        assert (counts(done)["failed"], "not UTF-8" in done.stderr) == (1, True)


def test_a_byte_order_mark_is_passed_over(hourpass, tmp_path):
    file = tmp_path / "excel.csv"
    file.write_bytes(b"\xef\xbb\xbf" + csv_of({"key": KEY, "name": "a"}).encode())

    assert counts(hourpass("keys", "import", str(file), "--json"))["created"] == 1


@pytest.mark.parametrize("line", ["5", "{", "[1]", "null", '{"key": "' + KEY + '"}'])
def test_a_line_that_is_not_a_row_of_json_fails(hourpass, line):
    assert counts(load(hourpass, line, "--format", "jsonl", "--json", code=1))["failed"] == 1


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (f'{{"key": "{KEY}", "name": "a"}}', "this looks like JSON lines: give --format jsonl"),
        (f"{KEY},customer", "column 1 of the header is unknown; known are: key, hash, algorithm,"),
        ("key,name,colour", "column 3 of the header is unknown"),
        ("key,name,key", "column 3 of the header is there twice: key"),
        ("key,scope", "the header needs the columns name, and key or hash"),
        ("name", "the header needs the columns name, and key or hash"),
        ('key,"name', "the header is not CSV"),
        ("x" * (1 << 16), "line 1 is longer than 64 KiB"),
    ],
    ids=["JSON", "a key", "unknown", "twice", "no name", "no key", "no CSV", "long"],
)
def test_a_header_that_is_wrong_is_wrong_usage_and_makes_no_database(hourpass, header, said, tmp_path):
    done = load(hourpass, header + "\n", "--data", str(tmp_path / "new"), code=2)

    assert said in done.stderr
    assert KEY not in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_empty_file_is_nothing(hourpass):
    assert counts(load(hourpass, "", "--json")) == COUNTS


def test_a_dry_run_needs_a_database_and_changes_nothing(hourpass, tmp_path):
    text = csv_of({"key": KEY, "name": "a"})
    load(hourpass, text, "--dry-run", "--data", str(tmp_path / "new"), code=1)
    load(hourpass, csv_of({"key": OTHER, "name": "b"}))

    done = load(hourpass, text, "--dry-run", "--json")

    assert counts(done) == {**COUNTS, "created": 1}
    assert "Nothing was changed. It would be: 1 created" in done.stderr
    assert len(hourpass.json("keys", "list")) == 1


def test_a_dry_run_knows_the_rows_before_a_row(hourpass):
    load(hourpass, csv_of({"key": OTHER, "name": "b"}))
    rows = [{"key": f"{KEY}-{number}", "name": "a"} for number in range(TOGETHER + 1)]

    done = load(hourpass, csv_of(*rows, rows[0]), "--dry-run", "--json")

    assert counts(done) == {**COUNTS, "created": TOGETHER + 1, "unchanged": 1}


def test_a_weak_key_is_refused_unless_it_is_accepted(hourpass):
    text = csv_of({"key": "password12345678", "name": "a"})

    assert "line 2: key: about 52 bits of entropy, too weak" in load(hourpass, text, code=1).stderr
    assert counts(load(hourpass, text, "--accept-weak", "--json"))["created"] == 1


def test_hashes_made_by_hmac_need_their_secret(hourpass, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the provider's\n")
    secret.chmod(0o600)
    hashed = hmac.digest(b"the provider's", KEY.encode(), "sha256").hex()
    text = csv_of({"hash": hashed, "algorithm": "hmac-sha256", "name": "a"})

    assert "hmac-sha256 needs the secret" in load(hourpass, text, code=1).stderr
    load(hourpass, text, "--hmac-secret-file", str(secret))
    assert hourpass.exchange(KEY)
    secret.write_text("")
    assert "is empty" in load(hourpass, text, "--hmac-secret-file", str(secret), code=1).stderr
    assert "cannot read" in load(hourpass, text, "--hmac-secret-file", str(tmp_path / "no"), code=1).stderr


def test_keys_that_not_every_header_carries_are_named(hourpass):
    text = csv_of({"key": f"{KEY}:x", "name": "a"}, {"key": f"{KEY},x", "name": "b"}, {"key": KEY, "name": "c"})

    said = load(hourpass, text).stderr

    assert "line 2: the key has a colon, which HTTP Basic cannot carry\n" in said
    assert "line 3: the key has a comma, which other headers cannot carry\n" in said
    assert "line 4" not in said


def test_twenty_failed_rows_are_named_and_the_others_counted(hourpass):
    done = load(hourpass, csv_of(*[{"key": "short", "name": "a"}] * 25), code=1)

    assert done.stderr.count("line ") == 20
    assert "and 5 more lines failed: --report FILE names all of them." in done.stderr


def test_a_file_that_is_not_there_is_not_named(hourpass):
    """It may be a key that was pasted as the argument."""
    done = hourpass("keys", "import", KEY, code=1)

    assert done.stderr.startswith("hourpass: cannot read the file")
    assert KEY not in done.stderr


def test_no_key_and_no_hash_is_ever_printed_or_kept(hourpass, tmp_path):
    report = tmp_path / "report"
    hashed = hashlib.sha256(OTHER.encode()).hexdigest()
    rows = [
        {"key": KEY, "hash": "", "algorithm": "", "name": "a"},
        {"key": KEY, "hash": hashed, "algorithm": "sha256", "name": "both"},
        {"key": "", "hash": hashed, "algorithm": KEY, "name": "b"},
        {"key": "", "hash": hashed, "algorithm": "sha256", "name": f"{KEY}\n"},
        {"key": "", "hash": hashed, "algorithm": "sha256", "name": "c"},
        {"key": "", "hash": hashed + "x", "algorithm": "sha256", "name": "d"},
    ]

    done = load(hourpass, csv_of(*rows), "--report", str(report), "--json", code=1)

    kept = b"".join(file.read_bytes() for file in hourpass.data.iterdir())
    said = (done.stdout + done.stderr + report.read_text()).encode()
    for secret in (KEY.encode(), hashed.encode(), bytes.fromhex(hashed)):
        assert secret not in kept
        assert secret not in said
