"""A corpus of odd requests, made from a compact table. Behind each stands a good one, so that framing shows."""

NEXT = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n"
"""A server that does not see this as a request of its own took it for something else."""

CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F) if code not in b"\r\n"]
HIGH = [b"\x80", b"\xa0", b"\xc3\xa9", b"\xff"]


def head(*lines, method=b"GET", target=b"/", version=b"HTTP/1.1", host=b"host: x"):
    first = b" ".join((method, target, version))
    return b"\r\n".join((first, *([host] if host else []), *lines, b"", b""))


def post(*lines, body=b"", **changes):
    return head(*lines, method=b"POST", **changes) + body


METHODS = [
    b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"PROPFIND", b"BREW", b"get", b"G-T", b"GET1", b"G_T",
    b"G@T", b"G/T", b"G(T", b"G:T", b"G,T", b'G"T', b"", b" GET", b"GET ", b"\tGET", b"CONNECT", b"PRI", b"QUERY",
]  # fmt: skip

TARGETS = [
    b"/a?b#c", b"/a b", b"/a\tb", b"*", b"x", b"?a", b"", b"//a", b"/\\a", b"/%zz", b"/%00", b"http://x/",
    b"HTTP://X/", b"http://x", b"http://x?a", b"http://", b"http:///a", b"http://u@x/", b"http://x:80/",
    b"http://x:a/", b"ftp://x/", b"https://x/", b"x:443", b"http:/x", b"/|", b"/{}", b"/^", b"/<>", b'/"', b"/`",
    b"/[", b"../a", b"#", b"/" + b"a" * 8_000,
]  # fmt: skip

VERSIONS = [
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1.1 ",
    b"HTTP/1.1\t", b"http/1.1", b"HTTP 1.1", b"HTTP/1,1", b"HTTP/ 1.1", b"HTTP/1.1 x", b"HTTPS/1.1", b"ICE/1.0",
    b"RTSP/1.0", b"SOURCE/1.0", b"", b"HTTP/9.9", b"HTTP/1.a", b"HTTP/-1.1", b"HTTP/1.1\x00",
]  # fmt: skip

HOSTS = [
    b"", b"host:", b"host: x\r\nhost: x", b"host: x\r\nhost: y", b"host: x, y", b"host: x y", b"host: x/y",
    b"host: u@x", b"host: x:80", b"host: x:", b"host: x:a", b"host: :80", b"host: [::1]", b"host: [::1",
    b"host: [::1]:80", b"host: \xc3\xa9", b"host: x#y", b"host: x?y", b"host: x\\y", b"host:\tx", b"host: x\t",
    b"HOST: x", b"host : x", b"host: %41", b"host: a_b", b"host: x\x00",
]  # fmt: skip

NAMES = [
    b"", b" a", b"a ", b"a\t", b"\ta", b"a b", b"a(", b"a)", b"a,", b"a/", b"a;", b"a<", b"a=", b"a>", b"a?", b"a@",
    b"a[", b"a\\", b"a]", b"a{", b"a}", b'a"', b"a_b", b"a.b", b"a!b", b"a#b", b"a$b", b"a%b", b"a&b", b"a'b", b"a*b",
    b"a+b", b"a^b", b"a`b", b"a|b", b"a~b", b"content_length", b"transfer_encoding", b"1",
]  # fmt: skip

LENGTHS = [
    b"3", b"03", b"003", b"+3", b"-3", b" 3", b"3 ", b"\t3", b"3\t", b"0x3", b"3.0", b"3e0", b"3,3", b"3, 3", b"3 3",
    b"3;a", b"", b"a", b"1_0", b"\xc2\xb3", b"18446744073709551619", b"99999999999999999999", b"3\x00", b"\x0b3",
    b"3\x0b", b'"3"', b"2", b"4", b"000000000000000000003", b"4294967299", b"0", b"-0",
]  # fmt: skip

CODINGS = [
    b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"\tchunked", b"\x0bchunked", b"chunked\x0b",
    b"xchunked", b"chunkedx", b"chunked, chunked", b"chunked,chunked", b"chunked, identity", b"identity, chunked",
    b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked;q=1", b'"chunked"', b"", b",chunked",
    b"chunked,", b", chunked ,", b"chunk ed", b"chunked\x00", b"chun\x00ked", b"deflate, chunked", b"x, chunked",
    b"chunked\r\ntransfer-encoding: chunked", b"chunked\r\ntransfer-encoding: identity",
    b"identity\r\ntransfer-encoding: chunked", b"\r\n chunked", b"\r\n\tchunked",
]  # fmt: skip

CHUNKS = [
    b"3\r\nabc\r\n0\r\n\r\n", b"03\r\nabc\r\n0\r\n\r\n", b"0000000000000003\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n00\r\n\r\n", b"3;a\r\nabc\r\n0\r\n\r\n", b"3;a=b\r\nabc\r\n0\r\n\r\n",
    b'3;a="b"\r\nabc\r\n0\r\n\r\n', b"3 ;a\r\nabc\r\n0\r\n\r\n", b"3; a = b\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n", b"3\t\r\nabc\r\n0\r\n\r\n", b" 3\r\nabc\r\n0\r\n\r\n", b"3;\r\nabc\r\n0\r\n\r\n",
    b"3;;\r\nabc\r\n0\r\n\r\n", b"3;a\nb\r\nabc\r\n0\r\n\r\n", b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    b"3;a\x00\r\nabc\r\n0\r\n\r\n", b"3a\r\nabc\r\n0\r\n\r\n", b"+3\r\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n", b"x3\r\nabc\r\n0\r\n\r\n", b"3.0\r\nabc\r\n0\r\n\r\n", b"\r\nabc\r\n0\r\n\r\n",
    b"\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n", b"3\r\nabc\n0\r\n\r\n", b"3\r\nabc\r\n0\n\r\n", b"3\r\nabc\r\n0\r\n\n",
    b"3\nabc\n0\n\n", b"3\r\nabc\r\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nab\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n", b"3\r\nabc  0\r\n\r\n", b"3\rabc\r\n0\r\n\r\n", b"3\r\r\nabc\r\n0\r\n\r\n",
    b"10000000000000003\r\nabc\r\n0\r\n\r\n", b"fffffffffffffffff\r\nabc", b"100000003\r\nabc\r\n0\r\n\r\n",
    b"7fffffff\r\nabc\r\n0\r\n\r\n", b"3_\r\nabc\r\n0\r\n\r\n", b"\xc2\xb3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n",
    b"0\r\na: b\r\n\r\n", b"0\r\na: b\r\nc: d\r\n\r\n", b"0\r\na\r\n\r\n", b"0\r\n: b\r\n\r\n", b"0\r\na : b\r\n\r\n",
    b"0\r\na: b\r\n c\r\n\r\n", b"0\r\n a: b\r\n\r\n", b"0\r\na: b\n\r\n", b"0\r\na: b\rc: d\r\n\r\n",
    b"0\r\na: \x00\r\n\r\n", b"0\r\ncontent-length: 5\r\n\r\n", b"0\r\ntransfer-encoding: chunked\r\n\r\n",
    b"0\r\nhost: y\r\n\r\n", b"0;a\r\n\r\n", b"0 \r\n\r\n", b"0\r\na: " + b"b" * 17_000 + b"\r\n\r\n",
    b"1;" + b"a" * 20_000 + b"\r\nx\r\n0\r\n\r\n",
]  # fmt: skip

CONNECTIONS = [
    b"close", b"Close", b"keep-alive", b"close, keep-alive", b"keep-alive, close", b"", b",", b"x", b"host",
    b"content-length", b"transfer-encoding", b"upgrade", b"upgrade, close", b'"close"', b"close;a",
    b"keep-alive\r\nconnection: close",
]  # fmt: skip

UPGRADES = [b"h2c", b"websocket", b"TLS/1.0", b"", b"x, y"]

EXPECTS = [b"100-continue", b"100-Continue", b"100-continue, x", b"x", b"", b"100-continue\r\nexpect: x"]


def in_first_line(byte):
    yield b"method", head(method=b"G" + byte + b"ET")
    yield b"target", head(target=b"/a" + byte + b"b")
    yield b"version", head(version=b"HTTP/1.1" + byte)
    yield b"before", byte + head()


def in_headers(byte):
    yield b"name", head(b"a" + byte + b"b: c")
    yield b"value", head(b"a: b" + byte + b"c")
    yield b"end of a value", head(b"a: b" + byte)
    yield b"alone", head(byte)


def line_ends():
    """Each line end of a small request, as something else."""
    whole = post(b"content-length: 3", body=b"abc")
    ends = [at for at in range(len(whole) - 1) if whole[at : at + 2] == b"\r\n"]
    for number, at in enumerate(ends):
        for other in (
            b"\n",
            b"\r",
            b"\r\r\n",
            b"\n\r\n",
            b"\n\n",
            b"\r\n\n",
            b"\r\n ",
            b"\r\n\t",
            b"\x0b\r\n",
            b" \r\n",
            b"",
        ):
            yield f"line end {number} is {other!r}", whole[:at] + other + whole[at + 2 :]


def corpus() -> dict[str, bytes]:
    """A name for each, and its bytes."""
    made: dict[str, bytes] = {}
    made |= {f"method {each!r}": head(method=each) for each in METHODS}
    made |= {f"target {each[:40]!r}": head(target=each) for each in TARGETS}
    for method in (b"GET", b"POST"):
        for each in VERSIONS:
            made[f"{method.decode()} in version {each!r}"] = head(b"content-length: 0", method=method, version=each)
    made |= {f"{each!r} as the host": head(host=each) for each in HOSTS}
    made |= {f"{each!r} as the host, 1.0": head(host=each, version=b"HTTP/1.0") for each in HOSTS}
    made |= {f"name {each!r}": head(each + b": c") for each in NAMES}
    for byte in (*CONTROLS, *HIGH):
        for where, raw in (*in_first_line(byte), *in_headers(byte)):
            made[f"{byte!r} in {where.decode()}"] = raw
    made |= dict(line_ends())
    for each in LENGTHS:
        made[f"length {each!r}"] = post(b"content-length: " + each, body=b"abc")
        made[f"length {each!r}, and another"] = post(b"content-length: 3", b"content-length: " + each, body=b"abc")
        made[f"length {each!r} of a GET"] = head(b"content-length: " + each) + b"abc"
    for each in CODINGS:
        line = b"transfer-encoding: " + each
        made[f"coding {each!r}"] = post(line, body=b"3\r\nabc\r\n0\r\n\r\n")
        made[f"coding {each!r} in 1.0"] = post(line, body=b"3\r\nabc\r\n0\r\n\r\n", version=b"HTTP/1.0")
        made[f"coding {each!r} and a length"] = post(line, b"content-length: 5", body=b"0\r\n\r\n")
        made[f"a length and coding {each!r}"] = post(b"content-length: 5", line, body=b"0\r\n\r\n")
    made |= {f"chunks {each[:60]!r}": post(b"transfer-encoding: chunked", body=each) for each in CHUNKS}
    for each in CONNECTIONS:
        made[f"connection {each!r}"] = head(b"connection: " + each)
        made[f"connection {each!r} in 1.0"] = head(b"connection: " + each, version=b"HTTP/1.0")
    for word in UPGRADES:
        for framing, body in (
            (b"content-length: 3", b"abc"),
            (b"transfer-encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
        ):
            lines = (b"connection: upgrade", b"upgrade: " + word, framing)
            made[f"upgrade {word!r}, {framing!r}"] = post(*lines, body=body)
    for each in EXPECTS:
        made[f"expect {each!r}"] = post(b"expect: " + each, b"content-length: 3", body=b"abc")
    for count in range(1, 4):
        made[f"{count} empty lines before"] = b"\r\n" * count + head()
        made[f"{count} bare line ends before"] = b"\n" * count + head()
        made[f"{count} empty lines between"] = head() + b"\r\n" * count + head()
    made["a header of 17 KiB"] = head(b"a: " + b"b" * 17_408)
    made["200 headers"] = head(*[b"a%d: b" % number for number in range(200)])
    made["a header without a colon"] = head(b"abc")
    made["a folded header"] = head(b"a: b", b" c")
    made["a folded first header"] = head(host=b" host: x")
    return {name: raw + NEXT for name, raw in made.items()}
