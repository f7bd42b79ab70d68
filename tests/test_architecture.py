"""The rules of the layout: spaces ← studies ← search, one file per library, no cycle, what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

import archsearch
from archsearch.search.pruners import PRUNERS
from archsearch.search.strategies import STRATEGIES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("spaces", "studies", "search")
LOWER = {"spaces": set(), "studies": {"spaces"}, "search": {"spaces", "studies"}}
# The rooms of `search`: what each may import beside its own files, the SHARED modules, `spaces` and `studies`.
ROOMS: dict[str, set[str]] = {
    "strategies": set(),
    "pruners": set(),
    "executors": {"adapters"},
    "training": set(),
    "adapters": set(),
    "engine": {"executors", "declaration"},
    "testing": {"engine", "executors", "strategies", "pruners", "study", "declaration", "training"},
}

SHARED = {"protocols", "registry", "user_code", "validation"}  # what every room of search may import

# Which files may import an outside library. Everything else goes through them.
SEAMS = {
    "ray": {"search/executors/ray.py"},
    "sqlite3": {"studies/store.py"},
    "plotly": {"studies/reports/"},
    "optuna": {"search/strategies/_models/"},
    "skopt": {"search/strategies/_models/"},
    "cmaes": {"search/strategies/_models/"},
    "scipy": {"search/strategies/"},
    # provenance counts the GPUs; a Ray worker loads torch before it seeds the first trial; checkpoints hold tensors;
    # Optuna's GP computes with it.
    "torch": {
        "search/executors/checkpoints.py",
        "search/executors/ray.py",
        "search/engine/provenance.py",
        "search/strategies/_models/optuna_gp.py",
        "search/training/",
        "spaces/networks/",
    },
    "pandas": {"studies/dataframe.py"},
    "filelock": {"studies/locking.py"},
    "click": {"search/cli/commands.py"},
    "pyarrow": {"search/training/data/parquet_files.py", "search/training/data/csv_table.py"},
    "openpyxl": {"search/training/data/workbooks.py"},
    "PIL": {"search/training/data/"},
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("archsearch", *(parts[:-1] if parts[-1] == "__init__" else parts)))


FILES = {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, by full name; `if TYPE_CHECKING:` blocks do not count."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typing_only = {id(inner) for block in blocks for inner in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            found.update(inner)
            if len(inner) < len(node.names):
                found.add(node.module or "")
    return found


def wrong_directions(module: str, path: Path) -> list[str]:
    """What the file imports against the direction of the packages, or across the rooms of `search`."""
    _, package, *rest = module.split(".")
    room = rest[0] if rest else ""
    wrong = []
    for name in imports(path):
        top, *inner = name.split(".")
        if top in PACKAGES or (top == "archsearch" and not inner):
            wrong.append(f"{module} imports {name}: write archsearch.{top if top in PACKAGES else 'PACKAGE'}.…")
        if top != "archsearch" or not inner:
            continue
        other, *inner = inner
        if other in PACKAGES and other != package and other not in LOWER[package]:
            wrong.append(f"{module} imports {name}: {package} may import {sorted(LOWER[package]) or 'none of ours'}")
        if other == package == "search" and room in ROOMS and inner and inner[0] not in {room, *SHARED, *ROOMS[room]}:
            may = ", ".join(sorted({*SHARED, *ROOMS[room]}))
            wrong.append(f"{module} imports {name}: {room} may import {may} and its own files")
    return wrong


def test_the_direction_of_imports() -> None:
    assert [fault for module, path in FILES.items() for fault in wrong_directions(module, path)] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("archsearch.spaces.domains", "from archsearch.studies.records import Trial"),
        ("archsearch.studies.store", "import archsearch.search.engine.engine"),
        ("archsearch.studies.store", "def late():\n    from archsearch.search.study import Study"),
        ("archsearch.search.strategies.random", "from archsearch.search.pruners import Median"),
        ("archsearch.search.executors.ray", "from archsearch.search.engine.engine import Engine"),
        ("archsearch.search.engine.engine", "from archsearch.search.cli.display import Panel"),
        ("archsearch.search.engine.driver", "from archsearch import Study"),
        ("archsearch.spaces.space", "from spaces.domains import Int"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, module: str, text: str) -> None:
    (tmp_path / "wrong.py").write_text(text)
    assert wrong_directions(module, tmp_path / "wrong.py")


@pytest.mark.parametrize("outside", SEAMS)
def test_each_outside_thing_has_one_seam(outside: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in FILES.values()
        if any(name.split(".")[0] == outside for name in imports(path))
    }
    assert users, f"nothing imports {outside}: drop its seam"
    assert {user for user in users if not any(user.startswith(seam) for seam in SEAMS[outside])} == set()


def test_no_import_cycle() -> None:
    """Late imports inside functions count too; a package's __init__ counts as a module of its own."""
    graph = {module: {name for name in imports(path) if name in FILES} for module, path in FILES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"cycle: {' → '.join((*trail[trail.index(module) :], module))}"
        if module not in done:
            for other in sorted(graph[module] - {module}):
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import archsearch.spaces", {"torch", "ray", "optuna", "skopt", "sklearn", "plotly", "scipy"}),
        ("import archsearch.studies.store", {"torch", "ray", "optuna", "skopt", "sklearn", "plotly", "scipy"}),
        (
            "from archsearch import Auto, Bayes, CmaEs, Grid, QuasiRandom, Random, Study, TPE",
            {"torch", "ray", "optuna", "skopt", "sklearn", "cmaes", "scipy", "plotly"},
        ),
        ("import archsearch.search.engine.engine", {"torch", "ray", "optuna", "skopt", "sklearn", "plotly"}),
    ],
)
def test_what_an_import_may_load(statement: str, forbidden: set[str]) -> None:
    code = f"import sys\n{statement}\nprint(*({forbidden!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_file_begins_with_its_story() -> None:
    silent = [
        name for name, path in FILES.items() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_public_name_is_there_and_has_a_story() -> None:
    code = (
        "import archsearch, inspect\n"
        "for name in archsearch.__all__:\n"
        "    value = getattr(archsearch, name)\n"
        "    assert inspect.getdoc(value) or not callable(value), name\n"
        "assert archsearch.__version__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("registry", [STRATEGIES, PRUNERS], ids=["strategies", "pruners"])
def test_what_a_registry_names_is_public(registry: Mapping[str, str]) -> None:
    assert {place.rpartition(":")[2] for place in registry.values()} <= set(archsearch.__all__)


def test_the_constraints_pin_what_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {text.split(">=")[0].split("[")[0].lower().replace("_", "-") for text in wanted}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    assert names <= pinned
