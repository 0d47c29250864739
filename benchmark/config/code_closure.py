"""Which code a function can run: the definitions that it leads to, by the names in its source, through both
packages.

Nothing is imported or run. A definition (a function, a class, an assignment) leads to every definition whose
name its source reads, in its own module or through an import, be it one inside a function. The hints of
functions and variables lead nowhere, nor does what stands under `if TYPE_CHECKING`; those of a class's fields
do, as schemas are made of them. Of a module that is reached, and of those that it imports, the statements
that run on import count too: those that define nothing, and those whose decorator is of the packages.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bmt.runtime.source_code import is_remark, statements_digest

Target = tuple[str, str | None]
"""A module and a name that it defines; "": what runs when it is imported; None: all of it."""
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
    imports = {alias: target for node in statements for alias, target in _imports(tree, module, node)}
    names = {name for node in statements for name in _bound(node)}
    definitions: dict[str, list[Definition]] = {}
    on_import = []
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        reader = _NameReader(tree, module, imports, names)
        reader.look(node)
        origins = sorted(f"{alias} {target}" for alias, target in reader.origins.items())
        digest = hashlib.sha256("\n".join([statements_digest([node]), *origins]).encode()).hexdigest()
        definition = Definition(digest, frozenset(reader.targets))
        bound = set(_bound(node))
        for name in bound:
            definitions.setdefault(name, []).append(definition)
        if not bound or isinstance(node, _BLOCKS) or _registers(node, imports, names):
            on_import.append(definition)
    again = {name: tuple(several) for name, several in definitions.items()}
    imported = frozenset(name for node in statements for name in _imported(tree, module, node))
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


def _is_if(node: ast.stmt, *names: str) -> bool:
    """Whether a statement is an `if` on one of these names."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id in names for part in ast.walk(node.test)
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
        for target in targets:
            yield from _names(target)


def _names(target: ast.AST | None) -> Iterator[str]:
    """The names that are assigned to, of `a`, `(a, *b)` and the like."""
    if isinstance(target, ast.Name):
        yield target.id
    for inner in getattr(target, "elts", [target.value] if isinstance(target, ast.Starred) else ()):
        yield from _names(inner)


def _imports(tree: CodeTree, module: str, node: ast.AST) -> Iterator[tuple[str, Target | str]]:
    """The names that a statement imports in its scope, and what each stands for."""
    for part in _statements(node):
        if isinstance(part, ast.Import):
            for one in part.names:
                name = one.name if one.asname else one.name.split(".")[0]
                yield one.asname or name, tree.target(name, ())
        elif isinstance(part, ast.ImportFrom):
            base = part.module or ""
            if part.level:
                package = (
                    module if str(tree.file(module)).endswith("__init__.py") else module.rpartition(".")[0]
                )
                folders = package.split(".")
                base = ".".join([*folders[: len(folders) + 1 - part.level], *([base] if base else [])])
            for one in part.names:
                yield one.asname or one.name, tree.target(base, (one.name,))


def _imported(tree: CodeTree, module: str, node: ast.AST) -> Iterator[str]:
    """The modules of the packages that a statement imports."""
    for part in _statements(node):
        if isinstance(part, ast.Import):
            yield from (one.name for one in part.names if tree.file(one.name) is not None)
        elif isinstance(part, ast.ImportFrom):
            yield from (
                target[0] for _, target in _imports(tree, module, part) if not isinstance(target, str)
            )


class _NameReader:
    """What one statement of a module leads to, by the rules of Python's scopes."""

    def __init__(
        self, tree: CodeTree, module: str, imports: dict[str, Target | str], names: set[str]
    ) -> None:
        self.tree, self.module, self.imports, self.names = tree, module, imports, names
        # of the functions around a node: what their names stand for; None: a variable
        self.scopes: list[dict[str, Target | str | None]] = []
        self.in_class = False
        self.targets: set[Target] = set()
        self.origins: dict[str, Target | str] = {}

    def look(self, node: ast.AST) -> None:
        """Note what a node and those below it lead to."""
        inside: list[ast.AST] = []
        match node:
            case ast.Name(id=name):
                if isinstance(node.ctx, ast.Load):
                    self._lead([name])
            case ast.Attribute():
                inside = self._attribute(node)
            case ast.AnnAssign():  # a hint leads nowhere, but for a field's: schemas are read by them
                hints = [node.annotation] if self.in_class else []
                inside = [node.target, *hints, *([node.value] if node.value else [])]
            case ast.Import() | ast.ImportFrom():  # where a scope is not kept apart, as in a class
                self._import([node])
            case ast.ClassDef():
                around, self.in_class = self.in_class, True
                for child in ast.iter_child_nodes(node):
                    self.look(child)
                self.in_class = around
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                arguments = node.args  # decorators and defaults are read outside the function
                inside = [
                    *getattr(node, "decorator_list", ()),
                    *arguments.defaults,
                    *filter(None, arguments.kw_defaults),
                ]
                self._function(arguments, [node.body] if isinstance(node, ast.Lambda) else node.body)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self.look(node.generators[0].iter)  # read outside the comprehension
                self.scopes.append({name: None for one in node.generators for name in _names(one.target)})
                for child in ast.iter_child_nodes(node):
                    self.look(child)
                self.scopes.pop()
            case _:
                inside = list(ast.iter_child_nodes(node))
        for child in inside:
            self.look(child)

    def _attribute(self, node: ast.Attribute) -> list[ast.AST]:
        """`module.name`, or an attribute of something else, which is to be looked at."""
        parts, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            parts, inner = [inner.attr, *parts], inner.value
        if not isinstance(inner, ast.Name):
            return [inner]
        self._lead([inner.id, *parts])
        return []

    def _function(self, arguments: ast.arguments, body: Sequence[ast.AST]) -> None:
        variables = [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]
        scope: dict[str, Target | str | None] = {one.arg: None for one in variables if one is not None}
        scope |= {name: None for node in body for name in _bound(node)}
        self._import(body)  # one name may stand for several, as where a branch chooses what is imported
        scope |= dict(pair for node in body for pair in _imports(self.tree, self.module, node))
        outside = {
            name
            for node in body
            for part in _statements(node)
            if isinstance(part, ast.Global)
            for name in part.names
        }
        self.scopes.append({name: target for name, target in scope.items() if name not in outside})
        around, self.in_class = self.in_class, False
        for node in body:
            self.look(node)
        self.in_class = around
        self.scopes.pop()

    def _import(self, statements: Iterable[ast.AST]) -> None:
        """Note what the imports inside a definition name, and the modules that they import."""
        for node in statements:
            self.targets |= {(name, "") for name in _imported(self.tree, self.module, node)}
            for _, target in _imports(self.tree, self.module, node):
                if not isinstance(target, str) and target[1] is not None:
                    self.targets.add(target)

    def _lead(self, names: list[str]) -> None:
        """Note what `name.name…` stands for where it is read."""
        first = names[0]
        scope = next((scope for scope in reversed(self.scopes) if first in scope), None)
        target = scope[first] if scope is not None else self.imports.get(first)
        if target is None:
            if scope is None and first in self.names:
                self.targets.add((self.module, first))
            return
        self.origins[first] = target
        if not isinstance(target, str):
            whole = target if target[1] is not None else self.tree.target(target[0], names[1:])
            self.targets.add(whole)  # type: ignore[arg-type]  # a module of ours leads to one of ours
