"""The output of `archsearch check`, at most 80 columns wide: the space, the costs, the failures and the warnings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from archsearch.search.engine.preflight import MAX_REJECTION_SHOWN, Failure, Preflight, free_values
from archsearch.spaces import Choice, Domain, Space
from archsearch.studies.formatting import count, file_size, magnitude, percent

FAILURES_SHOWN = 10
TITLES = {"parameters": "parameters", "flops": "FLOPs per sample", "memory_bytes": "training memory"}


def preflight_table(found: Preflight) -> RenderableType:
    """The space, the costs, the failures and the warnings of a preflight, one below the other."""
    built = f"{found.failed:,} of {count(found.configs, 'configuration')} cannot be built"
    rehearsal = found.rehearsal
    trained = f"{rehearsal.failed:,} of {count(rehearsal.tried, 'rehearsed configuration')} cannot be trained"
    return Group(
        *_head(found),
        Text(),
        _parameters(found),
        Text(),
        *_costs(found),
        *_failures(found.failures, built, found.space),
        *_failures(rehearsal.failures, trained, found.space),
        *_warnings(found),
    )


def _head(found: Preflight) -> Iterator[RenderableType]:
    size = found.space.size()
    if size == math.inf:
        space = "infinite space"
    else:
        many = count(int(size), "configuration") if size < 1e9 else f"1e{len(str(int(size))) - 1} configurations"
        space = f"space of {many}"
    yield Text.assemble((found.study, "bold"), f": {space}; {count(found.configs, 'sampled configuration')} checked")
    if found.data is not None:
        yield Text(f"data: {found.data}")
    if found.rejected_by:
        yield Text(f"the constraints reject {percent(min(found.rejected, MAX_REJECTION_SHOWN))} of all draws:")
        yield from (_indented(f"{percent(share):>6}  {name}") for name, share in found.rejected_by.items())


def _parameters(found: Preflight) -> RenderableType:
    conditional = any(parameter.condition for parameter in found.space.parameters)
    table = _table("parameter", "values", *(["when"] if conditional else []))
    table.add_column("active", justify="right")
    for parameter in found.space.parameters:
        when = parameter.condition.text if parameter.condition else ""
        share = percent(found.active[parameter.name])
        cells = (parameter.name, _values(parameter.domain), *([when] if conditional else []), share)
        table.add_row(*map(Text, cells), style="dim" if parameter.fixed else "")
    return table


def _costs(found: Preflight) -> Iterator[RenderableType]:
    if found.costs is None:
        yield Text("check does not run your own objective, so only the space was checked")
        return
    if not found.costs:
        return
    table = _table("costs of a trial")
    for name in ("min", "median", "max"):
        table.add_column(name, justify="right")
    for name, numbers in found.costs.items():
        shown = file_size if name == "memory_bytes" else magnitude
        table.add_row(TITLES[name], shown(numbers.least), shown(numbers.median), shown(numbers.most))
    yield table
    most: dict[str, list[str]] = {}
    for name, numbers in found.costs.items():
        most.setdefault(free_values(numbers.config, found.space), []).append(TITLES[name])
    for config, names in most.items():
        yield Text(f"\nlargest by {', '.join(names)}:")
        yield _indented(config)


def _failures(failures: Sequence[Failure], title: str, space: Space) -> Iterator[RenderableType]:
    if not failures:
        return
    yield Text(f"\n{title}:", style="red")
    for failure in failures[:FAILURES_SHOWN]:
        yield _indented(Text.assemble((f"{failure.count:,}x  ", "red"), failure.reason))
        yield _indented(free_values(failure.config, space), by=4)
    if (more := len(failures) - FAILURES_SHOWN) > 0:
        yield _indented(f"and {count(more, 'other reason')}")


def _warnings(found: Preflight) -> Iterator[RenderableType]:
    for warning in found.warnings:
        yield Text.assemble(("\nwarning: ", "yellow"), warning)


def _values(domain: Domain) -> str:
    """The values of a domain: `1 … 4`, `0.0001 … 0.1 log` or `relu, elu`."""
    if isinstance(domain, Choice):
        return ", ".join(map(str, domain.values))
    low, high = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (domain.low, domain.high))
    step = f" step {domain.step:g}" if domain.step not in (None, 1) else ""
    return f"{low} … {high}{' log' if domain.log else ''}{step}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _indented(text: str | Text, by: int = 2) -> Padding:
    # As Text, so that rich does not interpret [brackets] in it as markup.
    return Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, by))
