"""The commands: thin layers over the driver, the store and the reports.

Exit status: 0 for success, 1 for a failed study, 2 for an error in the arguments or the spec, 130 after Ctrl-C and 143
after SIGTERM. Slow modules are imported inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from archsearch.spaces.errors import ArchsearchError, ArgumentError, SpecError, StoreError, StudyFailed
from archsearch.studies.stopping_criteria import LIMITS, StoppingCriteria

if TYPE_CHECKING:
    from archsearch.search.engine.driver import Driver, Settings
    from archsearch.search.engine.spec import SpecFile
    from archsearch.studies.history import History
    from archsearch.studies.records import Trial

Command = Callable[..., None]


class SpecCommand(click.Command):
    """A command that passes what follows `--` to the spec file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, for_spec = split_arguments(args)
        ctx.params["args"] = for_spec
        try:
            return super().parse_args(ctx, own)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"{error.format_message()} Arguments of the spec file come after --, as in: {ctx.command_path} SPEC.py "
                f"-- {error.option_name}",
                ctx,
            ) from error

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def split_arguments(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of the command, and those of the spec file, which follow `--`."""
    at = args.index("--") if "--" in args else len(args)
    return [*args[:at]], [*args[at + 1 :]]


PIPED_WIDTH = 10_000  # columns


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="archsearch")
def cli() -> None:
    """Search for network architectures and hyperparameters.

    \b
    archsearch check SPEC.py       show what a spec file would try, and its costs
    archsearch run SPEC.py         run a search from a Python spec file
    archsearch resume STUDY.db     continue a search after any kind of stop
    archsearch report STUDY.db     write an HTML page that compares the trials
    """


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def _number_or_best(value: str) -> int | str:
    """The argument TRIAL."""
    if value == "best":
        return value
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a trial; give its number, or best") from None


_store = click.argument("store", metavar="STORE", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
_debug = click.option(
    "--debug", is_flag=True, expose_value=False, is_eager=True, help="Show the traceback if there is an error."
)
_session = _options(
    *(click.option(each.option, type=each.type, metavar=each.metavar, help=each.help) for each in LIMITS.values()),
    click.option(
        "--workers", type=int, metavar="N", help="Trials that run at the same time; default: by cores and GPUs."
    ),
    click.option("--executor", metavar="ray|inline", help="Where trials run; default: the spec's executor."),
    click.option("--address", metavar="HOST:PORT", help="Address of an existing Ray cluster, or `auto`."),
    click.option("--ray-log", is_flag=True, help="Show Ray's log on the terminal."),
    click.option("--quiet", is_flag=True, help="Show no progress, only the result."),
    _json,
    _debug,
)


@cli.command(cls=SpecCommand)
@click.argument("spec", metavar="SPEC.py", type=click.Path(path_type=Path))
@click.option(
    "--store", type=click.Path(path_type=Path), metavar="FILE", help="File to store the study in; default: ./NAME.db."
)
@click.option("--seed", type=int, metavar="N", help="Seed of all random choices; default: the spec's seed.")
@click.option("--strategy", metavar="NAME", help="Strategy, such as tpe or random; default: the spec's strategy.")
@_session
def run(
    spec: Path,
    args: list[str],
    store: Path | None,
    seed: int | None,
    strategy: str | None,
    quiet: bool,
    as_json: bool,
    **session: Any,
) -> None:
    """Run the study that SPEC.py declares, in a new store. The spec finds ARGS in sys.argv."""
    from archsearch.search.cli.display import progress
    from archsearch.search.engine.driver import Driver, overridden, store_path
    from archsearch.studies.best import hint_if_all_failed
    from archsearch.studies.store import StoreExistsError
    from archsearch.studies.stored_study import open_study

    settings = _settings(**session)
    source = _spec_file(spec, args)
    overrides = {name: value for name, value in (("seed", seed), ("strategy", strategy)) if value is not None}
    study = overridden(source.load(), overrides)
    driver = Driver(study, source, store_path(study, store), settings, progress(quiet=quiet), overrides)
    try:
        _work(driver, driver.run, as_json)
    except StoreExistsError as error:
        hint = hint_if_all_failed(open_study(error.path).history, error.path)
        usual = f"resume it with: archsearch resume {error.path}, or choose another file with --store"
        raise StoreError(f"{error}; {hint or usual}") from None


@cli.command()
@_store
@_session
def resume(store: Path, quiet: bool, as_json: bool, **session: Any) -> None:
    """Continue a study, or extend it with more trials or time."""
    from archsearch.search.cli.display import progress
    from archsearch.search.engine.driver import stored

    driver = stored(store, _settings(**session), progress(quiet=quiet))
    _work(driver, driver.resume, as_json)


@cli.command(cls=SpecCommand)
@click.argument("spec", metavar="SPEC.py", type=click.Path(path_type=Path))
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1000,
    metavar="N",
    help="Number of configurations to check; default: 1000.",
)
@_json
@_debug
def check(spec: Path, args: list[str], samples: int, as_json: bool) -> None:
    """Check a spec without training: its space, networks and costs. The spec finds ARGS in sys.argv."""
    from archsearch.search.cli.preflight_table import preflight_table
    from archsearch.search.engine.preflight import preflight

    source = _spec_file(spec, args)
    study = source.load()
    with source.arguments():
        found = preflight(study, samples)
    _answer(found.to_json(), preflight_table(found), as_json)
    if found.failed:
        raise SpecError(
            f"{found.failed} of {found.configs} configurations cannot be built; fix the network or its space"
        )
    if found.rehearsal.failed:
        raise SpecError(
            f"{found.rehearsal.failed} of {found.rehearsal.tried} rehearsed configurations cannot be trained; fix the "
            "code that fails"
        )


@cli.command()
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.html", help="Default: ./STORE.html.")
@_json
@_debug
def report(stores: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Write an offline HTML page about one study, or comparing several."""
    from archsearch.studies.reports import write
    from archsearch.studies.stored_study import open_study

    studies = [open_study(path) for path in stores]
    output = output or Path(f"{stores[0].stem}.html")
    try:
        written = write([each.history for each in studies], output, metadata=[each.made_with for each in studies])
    except OSError as error:
        raise ArchsearchError(f"cannot write {output}: {error.strerror}; choose another file with -o") from error
    _answer({"report": str(written)}, f"report: {written}", as_json)


@cli.command("list")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@_json
@_debug
def list_stores(folder: Path, as_json: bool) -> None:
    """List the stores in FOLDER; default: the current folder."""
    from archsearch.search.cli import tables

    rows = tables.stores(folder)
    _answer([row.to_json() for row in rows], tables.store_table(rows, folder), as_json)


@cli.command()
@_store
@click.argument("trial", required=False, type=_number_or_best)
@click.option("--all", "every", is_flag=True, help="Show all trials with their states, not only the best ones.")
@click.option("--log", is_flag=True, help="Show the trial's output, and its traceback if it failed.")
@_json
@_debug
def show(store: Path, trial: int | str | None, every: bool, log: bool, as_json: bool) -> None:
    """Show a study, or one of its trials: TRIAL is its number, or `best`."""
    from archsearch.search.cli import tables
    from archsearch.studies.stored_study import open_study

    if log and trial is None:
        raise click.UsageError("--log needs a trial: archsearch show STORE TRIAL --log")
    if every and trial is not None:
        raise click.UsageError("--all shows the trials of a study; leave out the trial")
    study = open_study(store)
    history = study.history
    if every:
        shown = tables.with_hint(tables.all_trials_table(history), f"show one with: archsearch show {store} TRIAL")
        _answer([tables.trial_json(history, each) for each in history.trials], shown, as_json)
        return
    if trial is None:
        shown = tables.with_hint(tables.study_table(history), f"show all trials with: archsearch show {store} --all")
        _answer(tables.study_json(history), shown, as_json)
        return
    found = _best(history, store) if trial == "best" else tables.trial_of(history, int(trial))
    number = found.number
    if log:
        text = study.log(number)
        nothing = f"trial {number} has no output; show the trial itself with: archsearch show {store} {number}"
        _answer({"trial": number, "log": text}, text.rstrip("\n") or nothing, as_json)
        return
    shown = tables.trial_table(history, found)
    if found.state == "failed":
        hint = f"show its output and traceback with: archsearch show {store} {number} --log"
        shown = tables.with_hint(shown, hint)
    _answer(tables.trial_json(history, found), shown, as_json)


@cli.command()
@_store
@_json
@_debug
def best(store: Path, as_json: bool) -> None:
    """Show the best trial, and with several goals also the Pareto front."""
    from archsearch.search.cli import tables
    from archsearch.studies.stored_study import open_study

    history = open_study(store).history
    found = _best(history, store)
    _answer(tables.best_json(history, found), tables.best_table(history, found), as_json)


@cli.command()
@_store
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@_json
@_debug
def copy(store: Path, destination: Path, as_json: bool) -> None:
    """Copy a study to DEST; it may be running."""
    from archsearch.studies.store import Store

    with Store.open(store) as opened:
        opened.copy(destination)
    _answer({"copy": str(destination)}, f"copied to {destination}", as_json)


def _spec_file(path: Path, args: Sequence[str]) -> SpecFile:
    """Read a spec file with its arguments, unless it is a store."""
    from archsearch.search.engine.spec import SpecFile
    from archsearch.studies.store import Store

    try:
        Store.open(path).close()
    except StoreError:
        return SpecFile.from_path(path, args)
    raise SpecError(f"{path} is a store, not a spec; resume it with: archsearch resume {path}")


def _best(history: History, store: Path) -> Trial:
    """The best trial.

    Raises:
        StudyFailed: There is none.
    """
    from archsearch.search.cli import tables
    from archsearch.studies.best import without_best

    if history.best is None:
        raise StudyFailed(f"{store}: {without_best(history)}{tables.hint_without_best(history, store)}")
    return history.best


def _settings(**options: Any) -> Settings:
    """The settings of the session from the options, by their names in Python."""
    from archsearch.search.engine.driver import Settings

    others = {name: value for name, value in options.items() if name not in LIMITS}
    return Settings(stopping=StoppingCriteria.from_arguments(options), **others)


def _work(driver: Driver, session: Callable[[], History], as_json: bool) -> None:
    """Run a session of the driver and print its result."""
    from archsearch.search.cli import tables
    from archsearch.search.engine.interrupts import interruption

    try:
        history = session()
    except KeyboardInterrupt:
        click.echo(interruption(driver.store_path, f"archsearch resume {driver.store_path}"), err=True)
        raise
    _answer(tables.study_json(history), tables.result(history, driver.store_path), as_json)


def _answer(data: Any, shown: Any, as_json: bool) -> None:
    """Print a result on stdout: `data` as JSON, or `shown` as text or a table."""
    if as_json:
        narrow = not (sys.stdout.encoding or "").lower().startswith("utf")  # escape what the encoding may lack
        click.echo(json.dumps(data, indent=2, ensure_ascii=narrow))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(shown, markup=False, soft_wrap=isinstance(shown, str))
        return
    # Output to a pipe or file is not wrapped, or padded, to the width of a terminal.
    console = Console(highlight=False, width=PIPED_WIDTH)
    with console.capture() as captured:
        console.print(shown, markup=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def main() -> NoReturn:
    """Run the command and exit with its status. The user's errors are printed in one line, without a traceback."""
    debug = "--debug" in split_arguments(sys.argv)[0]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal in cp1252 has no λ or ⋯; as for stderr
    try:
        cli.main(standalone_mode=False)
        code = 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        code = getattr(error.__cause__ or error, "exit_code", 130)  # click raises Abort from the KeyboardInterrupt
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
