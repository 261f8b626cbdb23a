"""A kernel is cut into notebook cells at its marks, and nowhere else."""

from kernel_builder.emit.cells import assign_docstring, split_cells
from kernel_builder.emit.emitted import Cell


def split(text: str) -> list[tuple[str, str, int]]:
    cells = split_cells(Cell("code", "", text, 1))
    return [(cell.kind, cell.text, cell.first_line) for cell in cells]


def test_marks_become_cells_whose_lines_are_known() -> None:
    text = "import os\n\n# %%\n\nx = 1\ny = 2\n\n\n#%%\nz = 3\n"
    assert split(text) == [
        ("code", "import os", 1),
        ("code", "x = 1\ny = 2", 5),
        ("code", "z = 3", 10),
    ]


def test_markdown_loses_its_comment_signs() -> None:
    text = "# %% [markdown]\n# # Title\n#\n# - *one*\n#tight\n\n# %%\nx = 1"
    assert split(text) == [
        ("markdown", "# Title\n\n- *one*\ntight", 2),
        ("code", "x = 1", 8),
    ]


def test_markdown_may_be_a_string_and_code_below_it_stays_code() -> None:
    assert split('# %% [md]\n"""\n# Title\n"""') == [("markdown", "# Title", 2)]
    assert split("# %% [markdown]\n# Text\nx = 1") == [
        ("markdown", "Text", 2),
        ("code", "x = 1", 3),
    ]


def test_a_title_stays_as_a_comment() -> None:
    assert split("# %% Load the data\nx = 1") == [("code", "# Load the data\nx = 1", 1)]


def test_marks_inside_statements_are_ordinary_lines() -> None:
    text = 'def f():\n# %% no\n    return """\n# %% [markdown]\n"""\nx = [\n# %%\n1]'
    assert split(text) == [("code", text, 1)]


def test_a_mark_between_a_decorator_and_its_function_is_no_border() -> None:
    text = "@deco\n# %% no\ndef f():\n    pass\n\n@deco\n# %%\nclass A:\n    pass"
    assert split(text) == [("code", text, 1)]


def test_inlined_modules_stay_whole() -> None:
    module = Cell("code", "kit.layers", "x = 1\n# %%\ny = 2", 40, collapsed=True)
    assert split_cells(module) == [module]


def test_nothing_but_marks_gives_no_cell() -> None:
    assert split("# %%\n\n# %% [markdown]\n\n# %%\n") == []


def test_ipython_must_not_take_a_cell_for_a_pasted_session_or_dedent_it() -> None:
    doc = '"""Doc.\n>>> f(1)\n"""\nx = 1'
    assert split(doc) == [("code", f"#\n{doc}", 0)]
    text = "x = 0\n# %%\n    # an indented comment\nif x:\n    pass"
    assert split(text)[1] == ("code", "# an indented comment\nif x:\n    pass", 3)


def test_the_docstring_is_assigned_and_future_imports_get_their_own_cell() -> None:
    head = '# c\n"""The\ndoc."""\n# d\nfrom __future__ import annotations'
    assert assign_docstring(Cell("code", "", head, 1)) == [
        Cell("code", "", '# c\n__doc__ = """The\ndoc."""', 1),
        Cell("code", "", "# d\nfrom __future__ import annotations", 4),
    ]
    plain = Cell("code", "", "x = 1", 1)
    assert assign_docstring(plain) == [plain]
