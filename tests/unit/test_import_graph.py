"""Arrows point inward only, and nothing turns in a circle. Read from the source, imports inside functions too."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import antiphon

ROOT = Path(antiphon.__file__).parent
STANDARD_CORE = frozenset({"msgspec"})
ADAPTERS = frozenset(
    {"blobs", "extraction", "fetching", "indexes", "mcp", "providers", "shields", "storage", "tools"}
)
WAYS_OUT = frozenset({("mcp", "fetching")})
"""Adapters that reach what callers name do so through the one guarded way out."""
SERVICES = frozenset(
    {
        "agents",
        "chat",
        "connectors",
        "conversations",
        "embeddings",
        "files",
        "mcp_server",
        "mcp_tools",
        "messages",
        "models",
        "oauth",
        "prompts",
        "rerank",
        "responses",
        "runs",
        "safety",
        "tool_groups",
        "vector_io",
        "vector_stores",
    }
)
# The composition root, and what stands before it: the command line, and the server inside another program.
ROOTS = frozenset(
    {"agency", "app", "integrations", "knowledge", "shielding", "cli", "__main__", "in_process"}
)
FORBIDDEN = frozenset(
    {"pydantic", "httpx", "openai", "requests", "fastapi", "litestar", "tiktoken", "pickle"}
)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> Mapping[str, Path]:
    return {module_of(path): path for path in ROOT.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """Absolute names; `from a import b` gives `a.b` where that is a module, else `a`."""
    known = modules()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else str(node.module)


@cache
def graph() -> Mapping[str, frozenset[str]]:
    known = modules()
    return {
        name: frozenset(target for target in imported(path) if target in known and target != name)
        for name, path in known.items()
    }


def layer(module: str) -> str:
    """The first part below the package: `core`, `ports`, `providers` …; "" for the package itself."""
    return [*module.split("."), ""][1]


def arrows() -> Iterator[tuple[str, str]]:
    for source, targets in graph().items():
        for target in targets:
            if layer(target) and layer(source) != layer(target):
                yield source, target


def test_the_graph_is_read() -> None:
    assert "antiphon.core.errors" in graph()["antiphon.ports"] | graph()["antiphon.cli.commands"]
    assert len(list(arrows())) > 20


def test_core_imports_only_the_standard_library_msgspec_and_itself() -> None:
    import sys

    for name, path in modules().items():
        if layer(name) == "core":
            for target in imported(path):
                top = target.split(".")[0]
                inside = target.startswith("antiphon.core")
                assert inside or top in sys.stdlib_module_names | STANDARD_CORE, f"{name} imports {target}"


def test_ports_import_only_core() -> None:
    assert {layer(target) for source, target in arrows() if layer(source) == "ports"} == {"core"}


def test_only_the_composition_root_and_the_command_line_know_adapters() -> None:
    wrong = [
        f"{source} -> {target}"
        for source, target in arrows()
        if layer(target) in ADAPTERS
        and layer(source) not in ROOTS | {"testing"}
        and (layer(source), layer(target)) not in WAYS_OUT
    ]
    assert not wrong


def test_adapters_know_no_service_no_web_and_no_other_kind_of_adapter() -> None:
    outward = ADAPTERS | SERVICES | ROOTS | {"web", "config"}
    kinds = {(layer(s), layer(t)): f"{s} -> {t}" for s, t in arrows()}
    wrong = [
        arrow
        for (source, target), arrow in kinds.items()
        if source in ADAPTERS and target in outward and (source, target) not in WAYS_OUT
    ]
    assert not wrong


def test_nothing_imports_the_roots() -> None:
    wrong = [f"{s} -> {t}" for s, t in arrows() if layer(t) in ROOTS and layer(s) not in ROOTS | {"testing"}]
    assert wrong == ["antiphon -> antiphon.in_process.server"]  # the package's own front, `antiphon.embedded`


def test_only_config_reads_the_environment() -> None:
    reads, readers = {"environ", "getenv", "environb"}, set[str]()
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            by_attribute = isinstance(node, ast.Attribute) and node.attr in reads
            by_name = isinstance(node, ast.alias) and node.name in reads
            if by_attribute or by_name:
                readers.add(name)
    assert readers == {"antiphon.config.load"}


def test_no_second_framework_is_imported() -> None:
    for name, path in modules().items():
        tops = {target.split(".")[0] for target in imported(path)}
        if layer(name) == "in_process":
            tops.discard("openai")  # its clients are what an embedded server yields; imported when asked for
        if layer(name) == "mcp":
            tops.discard("pydantic")  # the SDK's messages are its models; imported with the SDK, on first use
        assert not tops & FORBIDDEN, f"{name} imports {tops & FORBIDDEN}"


def test_there_is_no_cycle() -> None:
    edges, done = graph(), set[str]()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for target in edges[module]:
                walk(target, (*trail, module))
            done.add(module)

    for module in edges:
        walk(module, ())
