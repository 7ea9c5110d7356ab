"""Raw requests: heads that two readers read in two ways, bodies with two lengths, and what is no HTTP at all.

`{method}` and `{path}` stand for an endpoint's own, `{token}` for a bearer token that it accepts. They know no route.
"""

_LINE = b"{method} {path} HTTP/1.1\r\n"
_AUTH = b"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
_HOST = b"Host: localhost\r\n"
_HEAD = _LINE + _HOST + _AUTH
_CLOSE = b"Connection: close\r\n"
_BODY = b'{"text": "a"}'
_SIZED = b"Content-Length: 13\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_WHOLE = b"d\r\n" + _BODY + b"\r\n0\r\n\r\n"


def _with(*fields: bytes, body: bytes = _BODY) -> bytes:
    return _HEAD + _CLOSE + b"".join(fields) + b"\r\n" + body


def _chunks(body: bytes) -> bytes:
    return _with(_CHUNKED, body=body)


REQUESTS: dict[str, bytes] = {
    # Two lengths, or none that two readers agree on
    "a length and chunks": _with(_SIZED, _CHUNKED, body=_WHOLE),
    "chunks and a length": _with(_CHUNKED, _SIZED, body=_WHOLE),
    "two lengths": _with(_SIZED, b"Content-Length: 12\r\n"),
    "one length twice": _with(_SIZED, _SIZED),
    "a list of lengths": _with(b"Content-Length: 13, 13\r\n"),
    "a negative length": _with(b"Content-Length: -1\r\n"),
    "a length with a sign": _with(b"Content-Length: +13\r\n"),
    "a length in hex": _with(b"Content-Length: 0xd\r\n"),
    "a length with a blank": _with(b"Content-Length: 1 3\r\n"),
    "a length without digits": _with(b"Content-Length:\r\n"),
    "a length beyond 64 bits": _with(b"Content-Length: 18446744073709551629\r\n"),
    "a length of 1,000 digits": _with(b"Content-Length: " + b"9" * 1000 + b"\r\n"),
    "a length in wide digits": _with("Content-Length: １３\r\n".encode()),
    "a length of four terabytes": _with(b"Content-Length: 4398046511104\r\n"),
    "an unknown coding": _with(b"Transfer-Encoding: xchunked\r\n", body=_WHOLE),
    "chunked and more": _with(b"Transfer-Encoding: chunked, identity\r\n", body=_WHOLE),
    "chunked twice": _with(_CHUNKED, _CHUNKED, body=_WHOLE),
    "gzip and chunked": _with(b"Transfer-Encoding: gzip, chunked\r\n", body=_WHOLE),
    "identity and a length": _with(b"Transfer-Encoding: identity\r\n", _SIZED),
    "a coding behind a tab": _with(b"Transfer-Encoding:\tchunked\r\n", body=_WHOLE),
    "a coding behind a form feed": _with(b"Transfer-Encoding: \x0bchunked\r\n", body=_WHOLE),
    "a coding in quotes": _with(b'Transfer-Encoding: "chunked"\r\n', body=_WHOLE),
    "a blank before the colon": _with(_SIZED, b"Transfer-Encoding : chunked\r\n"),
    "a folded coding": _with(_SIZED, b"Transfer-Encoding:\r\n chunked\r\n"),
    "a coding behind a bare CR": _with(_SIZED, b"X: a\rTransfer-Encoding: chunked\r\n"),
    "a coding behind a bare LF": _with(_SIZED, b"X: a\nTransfer-Encoding: chunked\n"),
    "chunks in HTTP/1.0": _HEAD.replace(b"1.1", b"1.0") + _CHUNKED + b"\r\n" + _WHOLE,
    # Chunks
    "a chunk size that is none": _chunks(b"xyz\r\n" + _BODY),
    "a negative chunk size": _chunks(b"-d\r\n" + _BODY),
    "a chunk size with a prefix": _chunks(b"0xd\r\n" + _BODY + b"\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": _chunks(b"fffffffffffffffff\r\n" + _BODY),
    "a chunk size with blanks": _chunks(b"d  \r\n" + _BODY + b"\r\n0\r\n\r\n"),
    "a chunk longer than it says": _chunks(b"3\r\n" + _BODY + b"\r\n0\r\n\r\n"),
    "chunks that end in LF": _chunks(b"d\n" + _BODY + b"\n0\n\n"),
    "an extension without end": _chunks(b"d;" + b"a" * 2_000_000),
    "an extension with LF": _chunks(b"d;a\nb\r\n" + _BODY + b"\r\n0\r\n\r\n"),
    "trailers": _chunks(b"d\r\n" + _BODY + b"\r\n0\r\nAuthorization: Bearer evil\r\nX-Request-ID: evil\r\n\r\n"),
    "a trailer without end": _chunks(b"0\r\nX-Evil: " + b"a" * 2_000_000),
    "10,000 trailers": _chunks(b"0\r\n" + b"X-Evil: a\r\n" * 10_000 + b"\r\n"),
    "50,000 chunks of a byte": _chunks(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"),
    # The first line
    "a target of 9 KiB": _LINE.replace(b"{path}", b"{path}?" + b"a" * 9_216) + _HOST + _AUTH + _CLOSE + b"\r\n",
    "a target of a megabyte": _LINE.replace(b"{path}", b"/" + b"a" * 1_000_000) + _HOST + _CLOSE + b"\r\n",
    "a target without end": b"GET /" + b"a" * 100_000,
    "bad UTF-8 in the path": _LINE.replace(b"{path}", b"{path}/%ff%c0%af%ed%a0%80") + _HOST + _AUTH + _CLOSE + b"\r\n",
    "raw UTF-8 in the path": _LINE.replace(b"{path}", "{path}/会话".encode()) + _HOST + _CLOSE + b"\r\n",
    "raw bytes in the path": _LINE.replace(b"{path}", b"{path}/\xff\xfe") + _HOST + _CLOSE + b"\r\n",
    "a NUL in the path": _LINE.replace(b"{path}", b"{path}/a\x00b") + _HOST + _CLOSE + b"\r\n",
    "an escaped NUL in the path": _LINE.replace(b"{path}", b"{path}/%00") + _HOST + _AUTH + _CLOSE + b"\r\n",
    "line breaks in the path": _LINE.replace(b"{path}", b"{path}/%0d%0aX-Evil:%201") + _HOST + _AUTH + _CLOSE + b"\r\n",
    "dots in the path": _LINE.replace(b"{path}", b"/schema/../../../../etc/passwd") + _HOST + _CLOSE + b"\r\n",
    "escaped dots": _LINE.replace(b"{path}", b"/schema/%2e%2e/%2e%2e%2fetc%2fpasswd") + _HOST + _CLOSE + b"\r\n",
    "bad UTF-8 in the query": _LINE.replace(b"{path}", b"{path}?last_message_id=%ff&wait=%00&limit=%ed%a0%80&%=%&&=")
    + _HOST
    + _AUTH
    + _CLOSE
    + b"\r\n",
    "a number without end": _LINE.replace(b"{path}", b"{path}?last_message_id=" + b"9" * 8_000)
    + _HOST
    + _AUTH
    + _CLOSE
    + b"\r\n",
    "2,000 parameters": _LINE.replace(b"{path}", b"{path}?" + b"a=b&" * 2_000) + _HOST + _AUTH + _CLOSE + b"\r\n",
    "a whole URL": _LINE.replace(b"{path}", b"http://evil.example{path}")
    + _HOST
    + _AUTH
    + _CLOSE
    + _SIZED
    + b"\r\n"
    + _BODY,
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n",
    "an unknown method": b"EVIL {path} HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n",
    "a method in small letters": b"get {path} HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n",
    "a method of a kilobyte": b"G" * 1024 + b" {path} HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n",
    "no version": b"{method} {path}\r\n" + _HOST + _CLOSE + b"\r\n",
    "HTTP/0.9": b"{method} {path} HTTP/0.9\r\n" + _HOST + _CLOSE + b"\r\n",
    "HTTP/2.0": b"{method} {path} HTTP/2.0\r\n" + _HOST + _CLOSE + b"\r\n",
    "HTTP/9.9": b"{method} {path} HTTP/9.9\r\n" + _HOST + _CLOSE + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two blanks": b"{method}  {path}  HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n",
    "a greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "a command of Redis": b"*1\r\n$8\r\nFLUSHALL\r\n",
    "a line of SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "garbage": bytes(range(1, 256)) * 8,
    "zeros": b"\x00" * 4096,
    # Header fields
    "no Host": _LINE + _AUTH + _CLOSE + b"\r\n",
    "two Hosts": _LINE + _HOST + b"Host: evil.example\r\n" + _AUTH + _CLOSE + b"\r\n",
    "another Host": _LINE + b"Host: evil.example\r\n" + _AUTH + _CLOSE + b"\r\n",
    "a Host of a kilobyte": _LINE + b"Host: " + b"a" * 1024 + b"\r\n" + _CLOSE + b"\r\n",
    "101 fields": _with(*(b"X-%d: a\r\n" % n for n in range(101))),
    "100,000 fields": _with(b"X: a\r\n" * 100_000),
    "a field of 33 KiB": _with(b"X-Evil: " + b"a" * 33_792 + b"\r\n"),
    "a field of a megabyte": _with(b"X-Evil: " + b"a" * 1_000_000 + b"\r\n"),
    "a name of 33 KiB": _with(b"a" * 33_792 + b": a\r\n"),
    "a field without end": _HEAD + b"X-Evil: " + b"a" * 100_000,
    "a field without a name": _with(b": a\r\n"),
    "a field without a colon": _with(b"evil\r\n"),
    "a blank in a name": _with(b"X Evil: a\r\n"),
    "a NUL in a name": _with(b"X\x00Evil: a\r\n"),
    "a NUL in a value": _with(b"X-Request-ID: a\x00b\r\n"),
    "a CR in a value": _with(b"X-Request-ID: a\rX-Evil: 1\r\n"),
    "an LF in a value": _with(b"X-Request-ID: a\nX-Evil: 1\r\n"),
    "an escape in a value": _with(b"X-Request-ID: a\x1b[2Jb\r\n"),
    "raw bytes in a value": _with(b"X-Request-ID: \xff\xfe\xed\xa0\x80\r\n"),
    "GBK in a value": _with(b"X-Request-ID: " + "会话".encode("gbk") + b"\r\n"),
    "a folded value": _with(b"X-Request-ID: a\r\n X-Evil: 1\r\n"),
    "a request id of 10 KB": _with(b"X-Request-ID: " + b"a" * 10_240 + b"\r\n"),
    "a request id of markup": _with(b'X-Request-ID: "}{"event": "forged"}\r\n'),
    "two request ids": _with(b"X-Request-ID: one\r\nX-Request-ID: two\r\n"),
    "bad escapes in Prefer": _with(b'Prefer: wait="9999999999999999999", \xff; respond-async; timezone=../../x\r\n'),
    "a bad Idempotency-Key": _with(b"Idempotency-Key: \x85\xa0\r\n"),
    "an Accept of 20 KB": _with(b"Accept: " + b"application/problem+json;q=0," * 700 + b"\r\n"),
    "an Accept that is none": _with(b"Accept: ;;;,,,/;q=;q=q;application/problem+json\xff\r\n"),
    "a Cookie that is none": _with(b"Cookie: =;;=a;\xff=\xfe;a\r\n"),
    "two tokens": _with(b"Authorization: Bearer evil\r\n"),
    "a packed body": _with(b"Content-Encoding: gzip\r\n", _SIZED),
    "a body packed in vain": _with(b"Content-Encoding: identity, br\r\n", _SIZED),
    "a body packed twice": _with(b"Content-Encoding: gzip\r\nContent-Encoding: deflate\r\n", _SIZED),
    "a Content-Type of bytes": _with(b"Content-Type: \xff/\xfe; charset=\xe9\r\n", _SIZED),
    "an expectation": _with(b"Expect: 100-continue\r\n", _SIZED),
    "an expectation of more": _with(b"Expect: 200-ok\r\n", _SIZED),
    "a forged address": _with(b'X-Forwarded-For: \xff, 999.1.1.1, ::::, 127.0.0.1\r\nForwarded: for="[\r\n', _SIZED),
    "an override": _with(b"X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /readyz\r\n", _SIZED),
    "an upgrade to a WebSocket": _with(
        b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99\r\n"
    ),
    "an upgrade to HTTP/2": _with(b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \xff\r\n"),
    # More than one request
    "a request in a body": _with(_SIZED, body=_BODY + b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "garbage behind a request": _HEAD + _SIZED + b"\r\n" + _BODY + b"\x00\x01garbage\r\n\r\n",
    "three requests, one broken": (_HEAD + _SIZED + b"\r\n" + _BODY) * 2 + _HEAD + b"Content-Length: x\r\n\r\n",
    "50 requests at once": (_HEAD + _SIZED + b"\r\n" + _BODY) * 50,
    "empty lines first": b"\r\n" * 10 + _with(_SIZED),
    "50,000 empty lines": b"\r\n" * 50_000,
}
