"""Any file's bytes can be shown as source and read back."""

import base64
import doctest
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernel_builder.emit import embed_text
from kernel_builder.emit.embed_proof import prove_blocks
from kernel_builder.emit.embed_text import Literal, quote_bytes, quote_text
from kernel_builder.errors import ToolError
from kernel_builder.read import evidence

NASTY = st.text(alphabet=st.sampled_from("'\"\\\nab \r\x00\x0c\u2028é#"), max_size=60)


def bytes_of(literal: Literal) -> bytes:
    def write(text: str, encoding: str = "utf-8", newline: str = "\n") -> bytes:
        if encoding == "base64":
            return base64.b64decode(text)
        return text[1:].replace("\n", newline).encode(encoding)

    arguments = ", ".join(["\n".join(literal.lines), *literal.options])
    return eval(f"write({arguments})", {"write": write})


@given(NASTY)
@example("'''\"\"\"\\")
@example("\"\"\"a\"\"\"\n'''b'''\n\\")
@example("ends with \\\\\\")
def test_every_text_comes_back_from_lines_that_keep_their_numbers(text: str) -> None:
    literal = quote_bytes(text.encode())
    assert bytes_of(literal) == text.encode()
    if literal.readable and "\r" not in text and "\x00" not in text:
        shown = text.split("\n")
        assert len(literal.lines) == (len(shown) + 1 if text else 1)


@given(st.binary(max_size=80))
def test_any_bytes_come_back(data: bytes) -> None:
    assert bytes_of(quote_bytes(data)) == data


def test_a_module_is_shown_as_it_stands() -> None:
    lines = quote_text('\n"""Doc."""\nx = "\\d"\n')
    assert lines == ["r'''", '"""Doc."""', 'x = "\\d"', "'''"]


def test_both_triple_quotes_still_show_every_line_as_it_stands() -> None:
    text = "\na = '''1'''\nb = \"\"\"2\"\"\"\nc = 3\n"
    lines = quote_text(text)
    assert eval("(" + "\n".join(lines) + ")") == text
    assert [line for line in lines if "a = " in line] == ["a = '''1'''"]
    assert lines[2].endswith('b = """2"""')
    assert lines[3] == "c = 3"


def test_only_bytes_become_base64() -> None:
    assert quote_bytes(bytes(range(256))).options == ('encoding="base64"',)
    assert quote_bytes("grüß".encode()).options == ()
    assert quote_bytes(b"# coding: latin-1\n\xe9").options == ("encoding='latin-1'",)
    assert quote_bytes(b"a\r\nb\r\n").options == ('newline="\\r\\n"',)


@pytest.mark.parametrize("module", [embed_text, evidence])
def test_the_examples_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_the_proof_finds_a_changed_block() -> None:
    text = "_kk.write('a.py', r'''\nx = 1\n''')\n_kk.finish('main.py')\n"
    digest = "b26dca7e7d97d0cb20b2d9e1c6ebf9b2b0b8b1bd6b2e3c0a"
    with pytest.raises(ToolError, match=r"does not give back a\.py"):
        prove_blocks(text, {"a.py": digest})
    with pytest.raises(ToolError, match=r"does not give back a\.py, b\.py"):
        prove_blocks(text, {"b.py": digest})
