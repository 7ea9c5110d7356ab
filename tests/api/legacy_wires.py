"""The wires that legacy callers speak over: JSON or XML, in three charsets. They read and write with the standard
library alone, so that they know our rules and none of our code.
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import httpx

_KINDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An answer as its caller understands it."""

    status: int
    headers: httpx.Headers
    document: Any
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One way to speak. `declares`: its XML says the charset itself, and Content-Type does not."""

    form: str
    charset: str
    declares: bool = False

    def __str__(self) -> str:
        return f"{self.form} in {self.charset}" + " that declares itself" * self.declares

    @property
    def headers(self) -> dict[str, str]:
        charset = "" if self.declares else f"; charset={self.charset}"
        asked = {"Accept": f"application/{self.form}"}
        if self.charset != "utf-8":
            asked["Accept-Charset"] = self.charset
        return {"Content-Type": f"application/{self.form}{charset}", **asked}

    def written(self, body: dict[str, Any]) -> bytes:
        if self.form == "json":
            return json.dumps(body, ensure_ascii=False).encode(self.charset)
        declaration = f'<?xml version="1.0" encoding="{self.charset}"?>' if self.declares else ""
        return (declaration + element("request", body)).encode(self.charset, errors="xmlcharrefreplace")

    def send(
        self, client: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> Heard:
        content = None if body is None else self.written(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = client.request(method, path, content=content, headers={**self.headers, **named})
        return self.heard(response)

    def heard(self, response: httpx.Response) -> Heard:
        document = self.read(response) if response.content else None
        return Heard(status=response.status_code, headers=response.headers, document=document, raw=response.content)

    def read(self, response: httpx.Response) -> Any:
        content_type = response.headers["content-type"]
        charset = "" if self.form == "json" and self.charset == "utf-8" else f"; charset={self.charset}"
        assert content_type == f"application/{self.form}{charset}"
        text = response.content.decode(self.charset)
        if self.form == "json":
            return json.loads(text)
        assert text.startswith(f'<?xml version="1.0" encoding="{self.charset.upper()}"?>\n')
        return value(ET.fromstring(text.partition("?>")[2].strip()))


def element(name: str, held: Any) -> str:
    match held:
        case dict():
            return f"<{name}>{''.join(element(key, one) for key, one in held.items())}</{name}>"
        case list():
            return f'<{name} type="array">{"".join(element("item", one) for one in held)}</{name}>'
        case None:
            return f'<{name} type="null"/>'
        case bool():
            return f'<{name} type="boolean">{str(held).lower()}</{name}>'
        case int() | float():
            return f'<{name} type="number">{held}</{name}>'
        case _:
            return f"<{name}>{escape(str(held))}</{name}>"


def value(element: ET.Element) -> Any:
    match element.get("type"):
        case "array":
            assert {child.tag for child in element} <= {"item"}
            return [value(child) for child in element]
        case "null":
            return None
        case "boolean":
            return _KINDS[element.text or ""]
        case "number":
            return json.loads(element.text or "")
        case "object":
            return {}
        case _ if len(element):
            return {child.get("name") or child.tag: value(child) for child in element}
        case _:
            return element.text or ""


def without_charset(content_type: str) -> str:
    return re.sub(r";.*", "", content_type)


WIRES = [
    *(Wire(form=form, charset=charset) for form in ("json", "xml") for charset in ("utf-8", "gbk", "gb18030")),
    *(Wire(form="xml", charset=charset, declares=True) for charset in ("utf-8", "gbk", "gb18030")),
]
