"""The walls: spaces ← studies ← search, one seam per outside thing, no cycle, and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("spaces", "studies", "search")
LOWER = {"spaces": set(), "studies": {"spaces"}, "search": {"spaces", "studies"}}
GROUPS = ("strategies", "pruners", "executors", "training")

# Which files may import an outside thing. Everything else goes through them.
SHARED = ("protocols", "names", "settings")  # what every group of search may import

SEAMS = {
    "ray": {"search/executors/ray.py"},
    "sqlite3": {"studies/store.py"},
    "plotly": {"studies/reports/"},
    "optuna": {"search/strategies/"},
    "skopt": {"search/strategies/"},
    "cmaes": {"search/strategies/"},
    "scipy": {"search/strategies/"},
    # origin counts the GPUs; a Ray worker loads torch before it seeds the first trial; checkpoints hold tensors;
    # Optuna's GP computes with it.
    "torch": {
        "search/executors/checkpoints.py",
        "search/executors/ray.py",
        "search/origin.py",
        "search/strategies/optuna_gp.py",
        "search/training/",
        "spaces/networks/",
    },
    "click": {"search/cli.py"},
    "pyarrow": {"search/training/data/parquet_files.py"},
    "PIL": {"search/training/data/"},
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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
    """What the file imports against the direction of the packages, or across the groups of `search`."""
    package, *rest = module.split(".")
    wrong = []
    for name in imports(path):
        other, *inner = name.split(".")
        if other in PACKAGES and other != package and other not in LOWER[package]:
            wrong.append(f"{module} imports {name}: {package} may import {sorted(LOWER[package]) or 'none of ours'}")
        mine, theirs = rest[:1], inner[:1]
        crossing = other == package == "search" and mine and theirs and mine[0] in GROUPS
        if crossing and theirs[0] not in (mine[0], *SHARED):
            may = ", ".join(f"search.{name}" for name in SHARED)
            wrong.append(f"{module} imports {name}: {mine[0]} may import {may} and its own files")
    return wrong


def test_the_direction_of_imports() -> None:
    assert [fault for module, path in FILES.items() for fault in wrong_directions(module, path)] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("spaces.domains", "from studies.records import Trial"),
        ("studies.store", "import search.engine"),
        ("studies.store", "def late():\n    from search import Study"),
        ("search.strategies.random", "from search.pruners import Median"),
        ("search.executors.ray", "from search.engine import Engine"),
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
        ("import spaces", {"torch", "ray", "optuna", "skopt", "sklearn", "plotly", "scipy"}),
        ("import studies.store", {"torch", "ray", "optuna", "skopt", "sklearn", "plotly", "scipy"}),
        (
            "from search import Auto, Bayes, CmaEs, Grid, QuasiRandom, Random, Study, TPE",
            {"torch", "ray", "optuna", "skopt", "sklearn", "cmaes", "scipy", "plotly"},
        ),
        ("import search.engine", {"torch", "ray", "optuna", "skopt", "sklearn", "plotly"}),
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


def test_exported_names_are_sorted_and_exist() -> None:
    for name in ("search", "spaces", "search.training", "search.strategies", "search.pruners"):
        code = (
            f"import {name} as m\n"
            "assert list(m.__all__) == sorted(m.__all__, key=lambda n: (not n.isupper(), n)), m.__all__\n"
            "[getattr(m, n) for n in m.__all__]"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_constraints_pin_what_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {text.split(">=")[0].split("[")[0].lower() for text in wanted}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    assert names <= pinned
