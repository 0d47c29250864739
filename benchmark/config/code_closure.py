"""Which code a function can run: the definitions that it leads to, by the names in its source, through both
packages.

Nothing is imported or run. A definition (a function, a class, an assignment) leads to every definition whose
name its source reads, in its own module or through an import, be it one inside a function. The hints of
functions and variables lead nowhere, nor does what stands under `if TYPE_CHECKING`; those of a class's fields
do, as schemas are made of them. Of a module that is reached, and of those that it imports, the statements
that run on import count too: those that define nothing, and those whose decorator is of the packages.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from bmt.runtime.source_code import is_remark, statements_digest

Target = tuple[str, str | None]
"""A module and a name that it defines; "": what runs when it is imported; None: all of it."""
_HINTS_AS_TEXT = __future__.annotations.compiler_flag
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.TryStar,
    ast.With,
    ast.AsyncWith,
    ast.Match,
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A statement of a module: its digest, and what it leads to."""

    digest: str
    leads_to: frozenset[Target]


@dataclass(frozen=True, slots=True)
class ModuleCode:
    """A module: its definitions by name (several where a name is defined again), the statements that run on
    import whatever is used of it, its imports, and the modules of the packages that importing it imports.
    """

    definitions: dict[str, tuple[Definition, ...]]
    on_import: tuple[Definition, ...]
    imports: dict[str, Target | str]
    imported: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class CodeTree:
    """The packages in a folder; a module is read when it is first asked for.

    Attributes:
        root: the folder that holds the packages.
        packages: their names.
    """

    root: Path
    packages: tuple[str, ...] = ("bmt", "benchmark")
    _modules: dict[str, ModuleCode] = field(default_factory=dict)
    _files: dict[str, Path | None] = field(default_factory=dict)

    def file(self, module: str) -> Path | None:
        """The file of a module, or None where the packages have none of that name."""
        if module not in self._files:
            stem = self.root.joinpath(*module.split("."))
            places = (
                (stem / "__init__.py", stem.with_suffix(".py"))
                if module.split(".")[0] in self.packages
                else ()
            )
            self._files[module] = next((place for place in places if place.is_file()), None)
        return self._files[module]

    def module(self, name: str) -> ModuleCode:
        """A module's statements. Raises KeyError for one that the packages do not have."""
        if name not in self._modules:
            path = self.file(name)
            if path is None:
                raise KeyError(name)
            self._modules[name] = _read(self, name, ast.parse(path.read_bytes()).body)
        return self._modules[name]

    def closure(
        self, starts: Iterable[Target], left_out: Callable[[str], bool] = lambda name: False
    ) -> dict[str, str]:
        """By module, a digest (16 hexadecimal digits) of the definitions that the `starts` lead to.

        Args:
            left_out: whether a definition, `module.name`, does not count, nor what only it leads to; a module
                as a whole is
                asked for as `module.`.

        Raises:
            KeyError: a start that is not defined.
        """
        lines: dict[str, list[str]] = {}
        for (module, name), digest in self._reached(starts, left_out).items():
            if digest:
                lines.setdefault(module, []).append(f"{name} {digest}")
        return {
            module: hashlib.sha256("\n".join(sorted(lines[module])).encode()).hexdigest()[:16]
            for module in sorted(lines)
        }

    def names(
        self, starts: Iterable[Target], left_out: Callable[[str], bool] = lambda name: False
    ) -> set[str]:
        """The definitions of `closure`, each as `module.name`."""
        reached = self._reached(starts, left_out).items()
        return {f"{module}.{name}" for (module, name), digest in reached if name and digest}

    def _reached(self, starts: Iterable[Target], left_out: Callable[[str], bool]) -> dict[Target, str]:
        waiting, reached = list(starts), dict[Target, str]()
        for module, name in waiting:
            if name not in self.module(module).definitions:
                raise KeyError(f"{module}.{name}")
        while waiting:
            target = waiting.pop()
            module, name = target
            if target in reached:
                continue
            if left_out(f"{module}.{name or ''}"):
                reached[target] = ""
                waiting.append((module, ""))  # it is imported all the same
                continue
            code = self.module(module)
            definitions: tuple[Definition, ...] = ()
            if name is None:  # the module as an object, or a name that its __getattr__ makes
                waiting += [(module, one) for one in code.definitions]
            elif name == "":  # what runs on import, here and in the package around it
                definitions = code.on_import
                waiting += [(module.rpartition(".")[0], "")] if "." in module else []
                waiting += [(one, "") for one in code.imported]
            elif name in code.definitions:
                definitions = code.definitions[name]
            else:
                origin = code.imports.get(name, (module, None))
                waiting += [] if isinstance(origin, str) else [origin]
            reached[target] = "".join(one.digest for one in definitions)
            waiting += [(module, ""), *(further for one in definitions for further in one.leads_to)]
        return reached

    def target(self, module: str, names: Sequence[str]) -> Target | str:
        """What `module.name.name…` stands for; a text outside the packages."""
        if self.file(module) is None:
            return ".".join((module, *names))
        if names and self.file(f"{module}.{names[0]}") is not None:
            return self.target(f"{module}.{names[0]}", names[1:])
        return module, names[0] if names else None


def _read(tree: CodeTree, module: str, body: Sequence[ast.stmt]) -> ModuleCode:
    """A module's statements, without docstrings and what only a type checker or `python -m` runs."""
    statements = [node for node in _at_run_time(body) if not is_remark(node) and not _is_if(node, "__name__")]
    imports = {alias: target for node in statements for alias, target in _imports(tree, node)}
    names = {name for node in statements for name in _bound(node)}
    definitions: dict[str, list[Definition]] = {}
    on_import = []
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        targets, origins = _leads_to(tree, module, node, imports, names)
        meant = sorted(f"{alias} {target}" for alias, target in origins.items())
        digest = hashlib.sha256("\n".join([statements_digest([node]), *meant]).encode()).hexdigest()
        definition = Definition(digest, frozenset(targets))
        bound = set(_bound(node))
        for name in bound:
            definitions.setdefault(name, []).append(definition)
        if not bound or isinstance(node, _BLOCKS) or _registers(node, imports, names):
            on_import.append(definition)
    again = {name: tuple(several) for name, several in definitions.items()}
    imported = frozenset(name for node in statements for name in _imported(tree, node))
    return ModuleCode(again, tuple(on_import), imports, imported)


def _at_run_time(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements without those that only a type checker reads."""
    for node in statements:
        if _is_if(node, "TYPE_CHECKING") and isinstance(node, ast.If):
            yield from _at_run_time(node.body if isinstance(node.test, ast.UnaryOp) else node.orelse)
        else:
            yield node


def _registers(node: ast.stmt, imports: dict[str, Target | str], names: set[str]) -> bool:
    """Whether a decorator of the packages may keep what it is laid on, as a registry does, so that nobody
    needs to name it.
    """
    parts = {
        part.id
        for decorator in getattr(node, "decorator_list", ())
        for part in ast.walk(decorator)
        if isinstance(part, ast.Name)
    }
    return any(part in names or not isinstance(imports.get(part, ""), str) for part in parts)


def _is_if(node: ast.stmt, name: str) -> bool:
    """Whether a statement is an `if` on this name."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == name for part in ast.walk(node.test)
    )


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and those of its blocks: what stands in the same scope."""
    yield node
    if isinstance(node, (*_BLOCKS, ast.ExceptHandler, ast.match_case)):
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            for inner in getattr(node, part, ()):
                yield from _statements(inner)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement defines in its scope, imports not counted (nor those of `:=`, which are
    variables at most).
    """
    for part in _statements(node):
        if isinstance(part, _DEFINITIONS):
            yield part.name
            continue
        targets = [*getattr(part, "targets", ()), getattr(part, "target", None)]
        targets += [one.optional_vars for one in part.items] if isinstance(part, ast.With) else []
        inner = (one for target in targets if target is not None for one in ast.walk(target))
        yield from (one.id for one in inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def _imports(tree: CodeTree, node: ast.AST) -> Iterator[tuple[str, Target | str]]:
    """The names that a statement imports in its scope, and what each stands for. The packages have no
    relative imports.
    """
    for part in _statements(node):
        if isinstance(part, ast.Import):
            for one in part.names:
                name = one.name if one.asname else one.name.split(".")[0]
                yield one.asname or name, tree.target(name, ())
        elif isinstance(part, ast.ImportFrom):
            for one in part.names:
                yield one.asname or one.name, tree.target(part.module or "", (one.name,))


def _imported(tree: CodeTree, node: ast.AST) -> Iterator[str]:
    """The modules of the packages that a statement imports."""
    for part in _statements(node):
        if isinstance(part, ast.Import):
            yield from (one.name for one in part.names if tree.file(one.name) is not None)
        elif isinstance(part, ast.ImportFrom):
            yield from (target[0] for _, target in _imports(tree, part) if not isinstance(target, str))


def _leads_to(
    tree: CodeTree, module: str, node: ast.stmt, imports: dict[str, Target | str], names: set[str]
) -> tuple[set[Target], dict[str, Target | str]]:
    """What a statement of a module leads to, and what the imported names that it reads stand for."""
    targets, origins = set[Target](), dict[str, Target | str]()
    inside, read = list[tuple[str, Target | str]](), set[str]()
    for part in ast.walk(node):
        if isinstance(part, ast.Import | ast.ImportFrom):
            targets |= {(name, "") for name in _imported(tree, part)}
            inside += _imports(tree, part)  # one name may stand for several, as by branches
        elif isinstance(part, ast.ClassDef):  # schemas are read by the hints of their fields
            hints = [field.annotation for field in part.body if isinstance(field, ast.AnnAssign)]
            read |= {first for hint in hints for first, *_ in _dotted(hint)}
    targets |= {target for _, target in inside if not isinstance(target, str) and target[1] is not None}
    code = compile(ast.Module([node], []), module, "exec", _HINTS_AS_TEXT, dont_inherit=True)
    read |= _outer_names(code)
    for first, *rest in _dotted(node):
        meant = [target for name, target in inside if name == first]
        if first in read and first in imports:
            meant.append(imports[first])
            origins[first] = imports[first]
        elif first in read and first in names:
            targets.add((module, first))
        for target in meant:
            if not isinstance(target, str):
                whole = target if target[1] is not None else tree.target(target[0], rest)
                targets.add(whole)  # type: ignore[arg-type]  # a module of ours leads to one of ours
    return targets, origins


def _dotted(node: ast.AST) -> Iterator[list[str]]:
    """Each `name` and `name.name…` in a node, in its parts."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts, node = [node.attr, *parts], node.value
    if isinstance(node, ast.Name):
        yield [node.id, *parts]
    for child in ast.iter_child_nodes(node):
        yield from _dotted(child)


def _outer_names(code: CodeType) -> set[str]:
    """The names that some scope of the code reads from outside, as Python compiles it; those of attributes
    are among them.
    """
    read = set(code.co_names).difference(code.co_varnames, code.co_cellvars, code.co_freevars)
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return read.union(*map(_outer_names, inner))
