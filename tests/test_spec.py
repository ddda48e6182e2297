"""Lines of spec files: where an item begins, however it is written, found without reading on and on."""

import tomllib

import pytest

from twonn import spec

TRICKY = '''\
# [problem] in a comment, with "an open quote
"problem" = {x = [1, 2], y = [ # not ] closed
  -1, # "nor here
  1,
]}
text = """
[params]
w = 3 \\"""
"""""
raw = \'\'\'
run = "''
\'\'\'\'\'
[ params . "w.x" ]   # a header
w = "[" # ]
b = ['[', "]", "\\"]", """
]"""]

[[ list ]]
a = 1
[[list]]
b.c = """a""" # ''\'
b.d = 2

[run]
'''

#: In the order in which they are asked for.
LINES = {
    ("problem",): 2,
    ("problem", "y"): 2,
    ("text",): 6,
    ("raw",): 10,
    ("params",): 13,
    ("params", "w.x"): 13,
    ("params", "w.x", "w"): 14,
    ("params", "w.x", "b"): 15,
    ("list",): 18,
    ("list", 0): 18,
    ("list", 0, "a"): 19,
    ("list", 1): 20,
    ("list", 1, "b"): 21,
    ("list", 1, "b", "d"): 22,
    ("run",): 24,
}


def by_reading_on(text, keys):
    """Line by line, as long as it takes."""
    lines = text.split("\n")
    begins = 1
    for count in range(1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if spec._has("\n".join(lines[:count]), keys):
            return begins
        begins = count + 1
    raise AssertionError(keys)


@pytest.mark.parametrize("keys", LINES, ids=str)
def test_the_line_on_which_an_item_begins(keys):
    tomllib.loads(TRICKY)
    assert by_reading_on(TRICKY, keys) == LINES[keys]
    assert spec._line(TRICKY, keys) == LINES[keys]
    assert spec._line(TRICKY.replace("\n", "\r\n"), keys) == LINES[keys]


def test_a_long_text_is_read_some_times_only(monkeypatch):
    """As often as a number of 4,000 has binary digits."""
    count = 4000
    text = "".join(f"# {n}\n" for n in range(count)) + "w = [\n" + "1,\n" * count + "]\n[run]\nsteps = 3\n"
    calls, genuine = [], tomllib.loads
    monkeypatch.setattr(spec.tomllib, "loads", lambda text: calls.append(text) or genuine(text))
    for keys, line in {("w",): count + 1, ("run",): 2 * count + 3, ("run", "steps"): 2 * count + 4}.items():
        calls.clear()
        assert spec._line(text, keys) == line
        assert len(calls) <= 14
