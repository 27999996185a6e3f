"""The guard and the real router are asked the same: nothing is answered with less than its view needs.

The kinds of spelling are those by which guards of other projects were passed: encodings, control characters, dot
segments, double slashes, parameters, case, Unicode, root paths and mounts.
"""

from itertools import chain, product

import pytest
from tests.verifier.frameworks import BUILD, NEEDS, OVER_WSGI, WITH_A_ROOT, Question

ALL = " ".join(sorted(set(NEEDS.values()) - {""}))

PATHS = ["/videos", "/videos/7", "/admin", "/sub/admin", "/private", "/vid%C3%A9os"]

ENDS = [
    "",
    *"""
    / // /. /.. /./ %2F %2f %252F %00 %0A %0a %0D %0D%0A %09 %0B %0C %1F %20 %7F %85 %C2%85 %C2%A0 %E2%80%A8
    %E2%80%8B %FF %C0%AF %5C ; ;a=b ;/ %3B %3Ba %23 %3F %3Fa . .. * %25 %250A %26 %2500 %EF%BC%8F ~ .json /%0A %0A/
    /* : @
""".split(),  # noqa: SIM905 - a table
]
FRONTS = """
    / // /./ /../ /x/../ /x/..;/ /public/../ /public/..;/ /public/%2e%2e/ /public/%2E%2E%2F /public/%252e%252e/
    /public/..%2F /public/..%5C /public//..// /health/../ /health/.. /public/. /public/ /health/ /%2F /%2f/ /%5C
    /.%2F /;/ /;a=b/ /%00/ /%0A/ /%0A /%20/ /%09/ /%E2%80%8B /%EF%BB%BF /%2e/ /%252F /%C0%AE%C0%AE/ /public%0A/
    /public%2F /public%2F..%2F /http://api.test/ /@@ /%40%40 /public/@@
""".split()  # noqa: SIM905 - a table

SUB = """
    /subadmin /sub%2Fadmin /sub//admin /sub/./admin /sub/x/../admin /sub;a/admin /sub%0A/admin /sub/%0Aadmin /suba
    /sub /sub/ /Sub/admin /sub/sub/admin /sub%2fadmin /sub/%2Fadmin /sub%5Cadmin /sub/admin%2F
""".split()  # noqa: SIM905 - a table


def spellings() -> list[str]:
    """Paths as they travel, each once."""
    made = [
        [path + end for path, end in product(PATHS, ENDS)],
        [front + path[1:] for front, path in product(FRONTS, PATHS)],
        [path.replace("/", "", 1) for path in PATHS if path != "/videos/7"],
        [path.upper() for path in PATHS],
        [path.title() for path in PATHS],
        [f"{path[:2]}%{ord(path[2]):02X}{path[3:]}" for path in PATHS],
        [f"{path[:2]}%25{ord(path[2]):02x}{path[3:]}" for path in PATHS],
        ["".join(f"%{ord(letter):02x}" for letter in path) for path in ("/videos", "/admin", "/sub/admin")],
        SUB,
        ["/vide%CC%81os", "/vid%E9os", "/v%69d%C3%A9os", "/%EF%BD%96ideos", "/%D1%96deos", "/vid%C3%89os"],
        ["/health", "/public/a", "/public/admin", "/api-docs"],
    ]
    return list(dict.fromkeys(chain.from_iterable(made)))


ROOTS = ["/api", "/api/", "/", "/pub", "/health", "/public", "/v1/api", "/sub"]


def below_roots() -> list[tuple[str, str]]:
    """Paths and the root path that the server names: in front, at another place, or not there at all."""
    paths = ["/videos", "/admin", "/sub/admin", "/private", "/health", "/api-docs", "/public/x"]
    fronts = ["", "/public", "/health", "/x"]
    ways = [(f"{front}{root.rstrip('/')}{path}", root) for root, front, path in product(ROOTS, fronts, paths)]
    joined = [(f"{root}{path[1:]}", root) for root, path in product(ROOTS, paths)]
    newline = [(f"{root.rstrip('/')}{path}%0A", root) for root, path in product(ROOTS, paths)]
    return list(dict.fromkeys([*ways, *joined, *newline, *((path, root) for root, path in product(ROOTS, paths))]))


def questions(framework: str) -> list[Question]:
    """Under WSGI the server takes the root path off, so one of them shows all."""
    roots = [(path, root) for path, root in below_roots() if root == "/api" or framework not in OVER_WSGI | WITH_A_ROOT]
    front = "/api" if framework in WITH_A_ROOT else ""
    return [*(Question(front + path) for path in spellings()), *(Question(path, root) for path, root in roots)]


def test_the_table_is_long_enough():
    assert len(spellings()) >= 400


@pytest.mark.parametrize("framework", BUILD)
def test_nothing_is_answered_with_less_than_its_view_needs(framework):
    """Every path that an almighty caller reaches is asked for again without a credential, and without its scope."""
    ask, asked = BUILD[framework](), questions(framework)
    views = ask(question._replace(scopes=ALL) for question in asked)
    reached = [(question, view) for question, view in zip(asked, views, strict=True) if view in NEEDS]
    assert {view for _, view in reached} == set(NEEDS), "not every view was reached, so nothing is shown"

    anonymous = ask(question for question, _ in reached)
    lesser = ask(question._replace(scopes=without(NEEDS[view])) for question, view in reached)

    let_in = [
        (question.spelling, question.root, view)
        for (question, view), nobody, less in zip(reached, anonymous, lesser, strict=True)
        if nobody == view or (less == view and NEEDS[view])
    ]
    assert let_in == []


def without(scope: str) -> str:
    return " ".join(each for each in ALL.split() if each != scope)


@pytest.mark.parametrize("framework", BUILD)
def test_plain_requests_pass(framework):
    ask, front = BUILD[framework](), "/api" if framework in WITH_A_ROOT else ""
    plain = {
        "/videos": "videos",
        "/videos/7": "videos",
        "/admin": "admin",
        "/sub/admin": "sub",
        "/private": "private",
        "/vid%C3%A9os": "accents",
    }
    public = {"/health": "health", "/public/a/b": "public", "/api-docs": "docs"}

    allowed = ask(Question(front + path, "", NEEDS[name]) for path, name in plain.items())

    assert allowed == [*plain.values()]
    assert ask(Question(front + path) for path in public) == [*public.values()]
