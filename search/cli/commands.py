"""The commands: thin layers over the driver, the store and the reports.

Exit codes: 0 success, 1 a failed study, 2 a mistake in the call or the spec, 130 after Ctrl-C (143 after SIGTERM).
Heavy imports happen inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from archsearch.spaces.errors import ArchsearchError, ArgumentError, SpecError, StoreError, StudyFailed
from archsearch.studies.stopping_criteria import LIMITS, StoppingCriteria

if TYPE_CHECKING:
    from archsearch.search.engine.driver import Driver, Settings
    from archsearch.studies.history import History

Command = Callable[..., None]

PIPED_WIDTH = 10_000  # columns


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="archsearch")
def cli() -> None:
    """Search for the best network that your hours can buy.

    \b
    archsearch check SPEC.py       see what a spec file would try, and what it costs
    archsearch run SPEC.py         run a search from a Python spec file
    archsearch resume STUDY.db     go on after any kind of stop
    archsearch report STUDY.db     one HTML page that compares the trials
    """


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_store = click.argument("store", metavar="STORE", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON on stdout.")
_debug = click.option(
    "--debug", is_flag=True, expose_value=False, is_eager=True, help="Show the traceback of an error."
)
_session = _options(
    *(click.option(each.option, type=each.type, metavar=each.metavar, help=each.help) for each in LIMITS.values()),
    click.option("--workers", type=int, metavar="N", help="Trials at a time; default: what the machine carries."),
    click.option("--executor", metavar="ray|inline", help="Where trials run; default: as the spec says."),
    click.option("--address", metavar="HOST:PORT", help="An existing Ray cluster, or `auto`."),
    click.option("--ray-log", is_flag=True, help="Let Ray log to the terminal."),
    click.option("--quiet", is_flag=True, help="No progress, only the result."),
    _json,
    _debug,
)


@cli.command()
@click.argument("spec", metavar="SPEC.py", type=click.Path(path_type=Path))
@click.option(
    "--store", type=click.Path(path_type=Path), metavar="FILE", help="Where to keep it; default: NAME.db here."
)
@click.option("--seed", type=int, metavar="N", help="Of every random choice; default: as the spec says.")
@click.option("--strategy", metavar="NAME", help="Such as tpe or random, with its defaults, instead of the spec's.")
@_session
def run(
    spec: Path, store: Path | None, seed: int | None, strategy: str | None, quiet: bool, as_json: bool, **session: Any
) -> None:
    """Run the study that SPEC.py declares, in a new store."""
    from archsearch.search.cli.display import progress
    from archsearch.search.engine.driver import Driver, overridden, store_path
    from archsearch.search.engine.spec import SpecFile
    from archsearch.studies.store import StoreExistsError

    settings = _settings(**session)
    source = SpecFile.from_path(spec)
    overrides = {name: value for name, value in (("seed", seed), ("strategy", strategy)) if value is not None}
    study = overridden(source.load(), overrides)
    driver = Driver(study, source, store_path(study, store), settings, progress(quiet=quiet), overrides)
    try:
        _work(driver, driver.run, as_json)
    except StoreExistsError as error:
        raise StoreError(
            f"{error}; resume it: archsearch resume {error.path}, or name another file: --store"
        ) from error


@cli.command()
@_store
@_session
def resume(store: Path, quiet: bool, as_json: bool, **session: Any) -> None:
    """Go on with a study after any kind of stop, or extend it with more trials or time."""
    from archsearch.search.cli.display import progress
    from archsearch.search.engine.driver import stored

    driver = stored(store, _settings(**session), progress(quiet=quiet))
    _work(driver, driver.resume, as_json)


@cli.command()
@click.argument("spec", metavar="SPEC.py", type=click.Path(path_type=Path))
@click.option(
    "--samples", type=click.IntRange(min=1), default=1000, metavar="N", help="Configurations to look at; default: 1000."
)
@_json
@_debug
def check(spec: Path, samples: int, as_json: bool) -> None:
    """Look at what SPEC.py would try, without training: its space, its networks, what they cost."""
    from archsearch.search.cli.preflight_table import preflight_table
    from archsearch.search.engine.preflight import preflight
    from archsearch.search.engine.spec import SpecFile

    found = preflight(SpecFile.from_path(spec).load(), samples)
    _answer(found.to_json(), preflight_table(found), as_json)
    if found.failed:
        raise SpecError(
            f"{found.failed} of {found.configs} configurations cannot be built; fix the network or its space"
        )


@cli.command()
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.html", help="Default: STORE.html here.")
@_json
@_debug
def report(stores: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Write one offline HTML page about a study, or comparing several."""
    from archsearch.studies.reports import write
    from archsearch.studies.stored_study import open_study

    studies = [open_study(path) for path in stores]
    output = output or Path(f"{stores[0].stem}.html")
    try:
        written = write([each.history for each in studies], output, metadata=[each.made_with for each in studies])
    except OSError as error:
        raise ArchsearchError(f"cannot write {output}: {error.strerror}; name a file elsewhere with -o") from error
    _answer({"report": str(written)}, f"report: {written}", as_json)


@cli.command("list")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@_json
@_debug
def list_stores(folder: Path, as_json: bool) -> None:
    """List the stores in FOLDER (here by default)."""
    from archsearch.search.cli import tables

    rows = tables.stores(folder)
    _answer([row.to_json() for row in rows], tables.store_table(rows, folder), as_json)


@cli.command()
@_store
@click.argument("trial", required=False, type=int)
@click.option("--log", is_flag=True, help="What the trial printed, and the traceback if it failed.")
@_json
@_debug
def show(store: Path, trial: int | None, log: bool, as_json: bool) -> None:
    """Show a study, or one of its trials."""
    from archsearch.search.cli import tables
    from archsearch.studies.store import Store

    if log and trial is None:
        raise click.UsageError("--log needs a trial's number: archsearch show STORE TRIAL --log")
    with Store.open(store) as opened:
        history = opened.history()
        if trial is None:
            _answer(tables.study_json(history), tables.study_table(history), as_json)
        elif log:
            text = opened.log(tables.trial_of(history, trial).number)
            nothing = f"trial {trial} has printed nothing; see the trial itself: archsearch show {store} {trial}"
            _answer({"trial": trial, "log": text}, text.rstrip("\n") or nothing, as_json)
        else:
            found = tables.trial_of(history, trial)
            shown = tables.trial_table(history, found)
            if found.state == "failed":
                shown = tables.with_hint(shown, f"its output and traceback: archsearch show {store} {trial} --log")
            _answer(tables.trial_json(history, found), shown, as_json)


@cli.command()
@_store
@_json
@_debug
def best(store: Path, as_json: bool) -> None:
    """Show the best trial: its value and its configuration; with several goals also the Pareto front."""
    from archsearch.search.cli import tables
    from archsearch.studies.best import without_best
    from archsearch.studies.store import Store

    with Store.open(store) as opened:
        history = opened.history()
    if history.best is None:
        raise StudyFailed(f"{store}: {without_best(history)}{tables.hint_without_best(history, store)}")
    _answer(tables.best_json(history, history.best), tables.best_table(history, history.best), as_json)


@cli.command()
@_store
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@_json
@_debug
def copy(store: Path, destination: Path, as_json: bool) -> None:
    """Copy a whole study to DEST, also while it runs."""
    from archsearch.studies.store import Store

    with Store.open(store) as opened:
        opened.copy(destination)
    _answer({"copy": str(destination)}, f"copied to {destination}", as_json)


def _settings(**options: Any) -> Settings:
    """Of the options by their names in Python."""
    from archsearch.search.engine.driver import Settings

    others = {name: value for name, value in options.items() if name not in LIMITS}
    return Settings(stopping=StoppingCriteria.from_arguments(options), **others)


def _work(driver: Driver, session: Callable[[], History], as_json: bool) -> None:
    from archsearch.search.cli import tables

    try:
        history = session()
    except KeyboardInterrupt:
        kept = f"nothing is lost, go on with: archsearch resume {driver.store_path}"
        click.echo(f"stopped; {kept if driver.store_path.exists() else 'nothing had begun'}", err=True)
        raise
    _answer(tables.study_json(history), tables.result(history, driver.store_path), as_json)


def _answer(data: Any, shown: Any, as_json: bool) -> None:
    """The answer on stdout, for a program or for a person."""
    if as_json:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(shown, markup=False, soft_wrap=isinstance(shown, str))
        return
    # For another program: nothing is wrapped to a screen that is not there, or padded to its width.
    console = Console(highlight=False, width=PIPED_WIDTH)
    with console.capture() as captured:
        console.print(shown, markup=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def main() -> NoReturn:
    """Run the command and exit with its code; errors that are the user's are one line, without a traceback."""
    debug = "--debug" in sys.argv
    try:
        cli.main(standalone_mode=False)
        code = 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        code = getattr(error.__cause__ or error, "exit_code", 130)  # click raises Abort from the interrupt
    except StudyFailed as error:
        code = _failed(error, debug, 1)
    except (ArchsearchError, OSError) as error:
        code = _failed(error, debug, 2)
    sys.exit(code)


def _failed(error: Exception, debug: bool, code: int) -> int:
    if debug:
        traceback.print_exception(error)
    click.echo(f"error: {error.as_option if isinstance(error, ArgumentError) else error}", err=True)
    return code
