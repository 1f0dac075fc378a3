"""The project's own files, read as text or as syntax trees, for the tests that judge its shape."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("supervision", "tasks")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file of the project."""

    path: Path

    @property
    def name(self) -> str:
        """Its path from the root of the project."""
        return str(self.path.relative_to(ROOT))

    @property
    def module(self) -> str:
        """Its dotted name."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.path.read_text().splitlines()

    def nodes(self) -> Iterator[ast.AST]:
        """Every node of its syntax tree."""
        return ast.walk(tree(self.path))

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in self.nodes() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def imports(self) -> Iterator[str]:
        """The modules it imports, as written, wherever the import stands (relative ones are resolved)."""
        for node in self.nodes():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = self.module.split(".")[: -node.level] if node.level else []
                yield ".".join([*package, *([node.module] if node.module else [])])

    def calls(self) -> Iterator[str]:
        """The dotted names of what it calls, as far as they are names."""
        return (ast.unparse(node.func) for node in self.nodes() if isinstance(node, ast.Call))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of one file; parsed once per session."""
    return ast.parse(path.read_text(), filename=str(path))


def sources(*packages: str) -> list[Source]:
    """The Python files below ``packages``, by default those of the library and its tasks, and celeryconfig.py."""
    wanted = packages or (*PACKAGES, "celeryconfig.py")
    return [Source(path) for name in wanted for path in python_files(ROOT / name)]


def python_files(place: Path) -> list[Path]:
    """``place`` itself when it is a file, or the Python files below it."""
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def scripts() -> list[Path]:
    """The Lua scripts of the store."""
    return sorted((ROOT / "supervision" / "store" / "lua").glob("*.lua"))


def body_length(function: Function, lines: list[str]) -> int:
    """Lines of a function's body that are not blank, its docstring aside; ``lines`` are those of its file."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    return sum(1 for line in lines[body[0].lineno - 1 : body[-1].end_lineno] if line.strip())
