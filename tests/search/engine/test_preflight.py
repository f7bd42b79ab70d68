"""What a check finds and shows, and what a run has rehearsed, with objectives that cost what their config says."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from archsearch import (
    ASHA,
    GP,
    NSGA2,
    TPE,
    Bayes,
    Choice,
    Evolution,
    Extrapolation,
    Float,
    Hyperband,
    Int,
    Median,
    Objective,
    Patience,
    Percentile,
    Random,
    Space,
    SpaceError,
    SpecError,
    Study,
    SuccessiveHalving,
    TopK,
    When,
    constraint,
    resume,
)
from archsearch.search.cli.preflight_table import preflight_table
from archsearch.search.engine import preflight as module
from archsearch.search.engine.preflight import (
    Preflight,
    check_space,
    corners,
    preflight,
    rehearse,
)
from archsearch.search.engine.setting_warnings import setting_warnings

SPACE = Space(width=Int(1, 8), deep=Choice(False, True), rate=When("deep", Float(0.0, 0.5)), kind="mlp")


class Costly(Objective):
    """Costs width² parameters; what is wider than `most` cannot be built."""

    def __init__(self, space: Space = SPACE, most: float = 8) -> None:
        self.space, self.most = space, most
        self.asked: list[Any] = []  # by a rehearsal
        self.counted: list[Any] = []

    def __call__(self, trial: Any) -> dict[str, float]:
        return {"loss": 0.0}

    def prepare(self) -> int:
        return 100

    def costs(self, config: Any, shared: int) -> Any:
        self.counted.append(config)
        self.build(config, shared)
        square = config["width"] ** 2
        return SimpleNamespace(parameters=square, flops=2 * square, memory_bytes=shared * square)

    def rehearse(self, config: Any, shared: int) -> None:
        self.asked.append(config)
        self.build(config, shared)

    def build(self, config: Any, shared: int) -> None:
        print("a network of width", config["width"])
        print("on stderr too", file=sys.stderr)
        assert shared == 100
        if config["width"] > self.most:
            raise ValueError(f"width {config['width']} is\ntoo much")


def study_of(objective: Any, **arguments: Any) -> Study:
    return Study(name="small", objective=objective, minimize="loss", strategy=Random(), **arguments)


def found(objective: Any, samples: int = 300, **arguments: Any) -> Preflight:
    return preflight(study_of(objective, **arguments), samples)


def shown(result: Preflight, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(preflight_table(result), markup=False)
    return console.file.getvalue()


def test_what_the_trials_of_a_space_cost():
    result = found(Costly())
    assert (result.configs, result.failed, result.warnings) == (302, 0, [])
    parameters, flops, memory = (result.costs[name] for name in ("parameters", "flops", "memory_bytes"))
    assert (parameters.least, parameters.most, parameters.config["width"]) == (1, 64, 8)
    assert parameters.median in (16, 25)
    assert (flops.most, memory.most) == (128, 6400)
    assert result.active["width"] == result.active["kind"] == 1
    assert result.active["rate"] == pytest.approx(0.5, abs=0.1)


def test_it_is_the_same_every_time_and_another_with_another_seed():
    assert found(Costly()).to_json() == found(Costly()).to_json()
    assert found(Costly()).to_json() != found(Costly(), seed=1).to_json()


def test_each_different_config_is_counted_once():
    objective = Costly(Space(width=Int(1, 2), flag=Choice(1, "1")))
    assert found(objective).configs == 302
    assert len(objective.counted) == len({repr(config) for config in objective.counted}) == 4


def test_what_cannot_be_built_is_told_once_for_each_reason_with_a_config():
    result = found(Costly(most=4))
    (failure,) = result.failures
    assert re.fullmatch(r"ValueError: width [5-8] is too much \(test_preflight.py, line \d+\)", failure.reason)
    assert str(failure.config["width"]) in failure.reason
    assert failure.count == result.failed == pytest.approx(150, abs=30)
    assert result.costs["parameters"].most == 16
    text = shown(result)
    assert f"{result.failed} of 302 configurations cannot be built" in text
    assert f"width={failure.config['width']} deep=" in text
    assert re.search(r"\dx +ValueError: width \d is too much \(test_preflight.py, line \d+\)", text)


def test_nothing_can_be_built():
    result = found(Costly(most=0))
    assert (result.failed, result.costs) == (302, {})
    assert "302 of 302 configurations cannot be built" in shown(result)


def test_reasons_come_most_frequent_first_with_the_notes_of_the_error():
    class Picky(Costly):
        def costs(self, config: Any, shared: int) -> Any:
            error = TypeError("rarely") if config["width"] == 8 else SpecError("width is wrong")
            error.add_note("in Linear 'last'")
            raise error

    first, second = found(Picky()).failures
    assert first.reason == "width is wrong; in Linear 'last'"
    assert re.fullmatch(r"TypeError: rarely \(test_preflight.py, line \d+\); in Linear 'last'", second.reason)
    assert first.count > second.count


def test_what_the_objective_prints_is_not_shown(capfd):
    found(Costly())
    rehearse(study_of(Costly()), 100)
    assert capfd.readouterr() == ("", "")


def test_an_objective_that_tells_no_costs_has_its_space_checked():
    def train(trial: Any) -> dict[str, float]:
        return {"loss": 0.0}

    result = found(train, space=SPACE)
    assert result.costs is None
    assert result.to_json()["costs"] is None
    assert "check does not run your own objective, so only the space was checked" in shown(result)
    assert rehearse(study_of(train, space=SPACE), None) is None


def test_constraints_and_what_they_reject():
    space = Space(constraint("width < other"), constraint("width > 1"), width=Int(1, 8), other=Int(1, 8))
    result = found(Costly(space), samples=2000)
    assert result.rejected == pytest.approx(1 - 21 / 64, abs=0.04)
    assert result.rejected_by["width > 1"] == pytest.approx(1 / 8, abs=0.03)
    assert result.rejected_by["width < other"] == pytest.approx(36 / 64, abs=0.04)
    assert result.configs == 2000  # neither corner is legal
    assert result.warnings == []
    text = shown(result)
    assert f"the constraints reject {result.rejected:.1%} of all draws" in text
    assert f"{result.rejected_by['width > 1']:.1%}  width > 1" in text


def test_a_warning_where_hardly_a_draw_is_legal():
    space = Space(constraint("width == 1 and other == 1"), width=Int(1, 8), other=Int(1, 8))
    (warning,) = found(Costly(space), samples=200).warnings
    assert re.match(r"the constraints reject 9\d\.\d% of all draws", warning)


def test_a_warning_where_trials_may_not_fit_into_memory(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda study: 3000)
    result = found(Costly())
    (warning,) = result.warnings
    over = int(warning.split()[0])
    assert over == pytest.approx(302 * 3 / 8, abs=30)  # widths 6, 7 and 8
    assert "they need up to 6.25 KiB, and this machine has 2.93 KiB for a trial" in warning
    assert "warning: " in shown(result)


def test_the_room_is_shared_by_the_workers():
    alone, shared = (module.available_memory(study_of(Costly(), workers=n)) for n in (None, 4))
    assert alone == 4 * shared > 2**28


@pytest.mark.parametrize(("gpus", "room"), [(0.25, 250), (1, 1000), (2, 1000)])
def test_the_room_on_a_gpu_is_the_trial_s_share_of_it(monkeypatch, gpus, room):
    device = SimpleNamespace(total_memory=1000)
    cuda = SimpleNamespace(is_available=lambda: True, get_device_properties=lambda index: device)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert module.available_memory(study_of(Costly(), gpus=gpus)) == room
    cuda.is_available = lambda: False
    assert module.available_memory(study_of(Costly(), gpus=gpus)) is None
    monkeypatch.delitem(sys.modules, "torch")
    assert module.available_memory(study_of(Costly(), gpus=gpus)) is None


def test_what_the_objective_says_of_its_data_is_one_line():
    class Told(Costly):
        def summary_of(self, shared: int) -> str:
            return f"{shared} rows, 3 [columns]"

    result = found(Told())
    assert result.to_json()["data"] == "100 rows, 3 [columns]"
    assert shown(result).splitlines()[1] == "data: 100 rows, 3 [columns]"
    assert found(Costly()).to_json()["data"] is None
    assert "data:" not in shown(found(Costly()))


def test_everything_as_json():
    result = found(Costly(most=4))
    body = json.loads(json.dumps(result.to_json()))
    assert body["study"] == "small"
    assert body["size"] is None  # rate is a Float
    assert body["parameters"][2] == {
        "name": "rate",
        "domain": Float(0.0, 0.5).to_json(),
        "when": "deep",
        "active": result.active["rate"],
    }
    assert body["costs"]["parameters"]["max"] == 16
    assert body["failures"][0]["count"] == body["failed"] == result.failed
    assert body["rejected"] == {"share": 0, "by_constraint": {}}


def test_the_table_fits_into_80_columns():
    long = Space(
        **{f"a_rather_long_name_of_a_parameter_{k}": Choice(*(f"value {n}" for n in range(12))) for k in range(3)},
        width=Int(1, 10**6, log=True),
        rate=When("width > 100 and a_rather_long_name_of_a_parameter_1 == 'value 3'", Float(1e-5, 1, log=True)),
    )
    result = found(Costly(long, most=10**5))
    for text in (shown(result), shown(found(Costly(most=4)))):
        assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"parameters +1 .* \d+(\.\d+)?G$", shown(result), re.MULTILINE)


def test_domains_for_people():
    space = Space(
        width=Int(1, 10**6, log=True), step=Int(2, 8, step=2), rate=Float(1e-5, 0.1, log=True), kind=Choice("a", "b")
    )
    text = shown(found(Costly(space, most=10**6)))
    for name, values in (
        ("width", "1 … 1,000,000 log"), ("step", "2 … 8 step 2"), ("rate", "1e-05 … 0.1 log"), ("kind", "a, b")
    ):  # fmt: skip
        assert re.search(rf"^{name} +{values} +100%$", text, re.MULTILINE)


@pytest.mark.parametrize(("widths", "told"), [(1, "b is active"), (2, "b, c are active")])
def test_parameters_that_are_never_active_are_warned_of(widths: int, told: str):
    names = {name: When("width == 9", Int(1, 2)) for name in ("b", "c")[:widths]}
    space = Space(constraint("width < 9"), width=Int(1, 9), **names)
    assert found(Costly(space, most=9)).warnings == [
        f"{told} in none of 301 configurations; check the conditions and the constraints"
    ]


def test_brackets_in_what_a_person_wrote_stay():
    space = Space(constraint("kind in ['[bold]', 'b']"), width=Int(1, 8), kind=Choice("[bold]", "c"))
    text = shown(found(Costly(space, most=4)))
    assert "kind in ('[bold]', 'b')" in text
    assert "[bold], c" in text
    assert "kind=[bold]" in text


def test_corners_are_the_extremes_that_are_legal():
    assert corners(SPACE) == [
        {"width": 1, "deep": False, "kind": "mlp"},
        {"width": 8, "deep": True, "rate": 0.5, "kind": "mlp"},
    ]
    assert corners(Space(constraint("x < 9"), x=Int(1, 9))) == [{"x": 1}]


def test_a_rehearsal_is_silent_when_all_is_well():
    objective = Costly()
    assert rehearse(study_of(objective), 100) is None
    assert [objective.asked[0], objective.asked[-1]] == corners(SPACE)
    assert len(objective.asked) == 22


def test_a_rehearsal_warns_where_some_fail():
    warning = rehearse(study_of(Costly(most=7)), 100, spec=str(Path.cwd() / "some where" / "spec.py"))
    assert re.match(
        r"\d of 22 configurations cannot be trained, and such trials will fail: ValueError: width 8", warning
    )
    assert "; first with width=8 deep=" in warning
    assert "kind" not in warning  # it is the same in all
    assert warning.endswith("; see all: archsearch check 'some where/spec.py'")
    assert "\n" not in warning
    assert "see all" not in rehearse(study_of(Costly(most=7)), 100)  # a study without a spec file


def test_a_rehearsal_in_which_all_fail_is_an_error():
    with pytest.raises(SpecError, match=r"none of 22 .* can be trained: ValueError: width 1 is too much \(test_pre"):
        rehearse(study_of(Costly(most=0)), 100)


def test_where_trials_have_a_gpu_what_fails_without_it_is_no_error():
    warning = rehearse(study_of(Costly(most=0), gpus=1), 100)
    assert warning.startswith("22 of 22 configurations cannot be trained")


def test_a_rehearsal_that_takes_long_ends_once_a_configuration_succeeds():
    objective = Costly(most=4)
    widths = [config["width"] for config in module._rehearsal_configs(study_of(objective))]
    assert rehearse(study_of(objective), 100, limit_s=0) is None
    assert len(objective.asked) == 1
    small = Costly(most=0)
    with pytest.raises(SpecError, match="none of 22 configurations can be trained"):
        rehearse(study_of(small), 100, limit_s=0)  # as many as without a limit: nothing has succeeded

    class Narrow(Costly):
        def rehearse(self, config: Any, shared: int) -> None:
            self.asked.append(config)
            if config["width"] == widths[0]:
                raise ValueError("too narrow")

    narrow = Narrow()
    first_sound = next(place for place, width in enumerate(widths) if width != widths[0])
    warning = rehearse(study_of(narrow), 100, limit_s=0)
    assert warning.startswith(f"{first_sound} of {first_sound + 1} configurations cannot be trained")
    assert len(narrow.asked) == first_sound + 1


def test_trials_with_a_gpu_do_not_wait_for_a_configuration_that_succeeds_on_the_cpu():
    objective = Costly(most=0)
    warning = rehearse(study_of(objective, gpus=1), 100, limit_s=0)
    assert warning.startswith("1 of 1 configuration cannot be trained")


class Untrainable(Costly):
    """Every configuration can be built, and those from a width of 5 on fail in training."""

    def rehearse(self, config: Any, shared: int) -> None:
        self.asked.append(config)
        if config["width"] >= 5:
            raise NameError(f"name 'targets_{config['width']}' is not defined")


def test_a_check_rehearses_the_same_configurations_as_a_run():
    checked, run = Untrainable(), Untrainable()
    result, warning = found(checked), rehearse(study_of(run), 100)
    assert checked.asked == run.asked
    assert (result.failed, result.rehearsal.tried) == (0, 22)
    assert warning.startswith(f"{result.rehearsal.failed} of 22 configurations cannot be trained")
    (failure,) = result.rehearsal.failures
    assert re.fullmatch(r"NameError: name 'targets_\d' is not defined \(test_preflight.py, line \d+\)", failure.reason)
    assert failure.reason in warning
    text = shown(result)
    assert f"\n{result.rehearsal.failed} of 22 rehearsed configurations cannot be trained:\n" in text
    assert f"width={failure.config['width']} deep=" in text
    assert result.to_json()["rehearsal"]["failures"][0]["count"] == result.rehearsal.failed


def test_what_cannot_be_built_is_not_rehearsed():
    objective = Costly(most=4)
    result = found(objective)
    assert result.failed
    assert result.rehearsal.failures == []
    assert max(config["width"] for config in objective.asked) <= 4
    assert "rehearsed" not in shown(result)


class BadFunction(Costly):
    def check_functions(self, shared: int) -> None:
        print("tried")
        raise SpecError("Recipe loss focal fails")


@pytest.mark.parametrize(
    "start", [lambda study, path: preflight(study, 1), lambda study, path: study.run(path / "x.db")]
)
def test_a_check_and_a_run_refuse_a_function_that_fails(tmp_path, capfd, start):
    with pytest.raises(SpecError, match="Recipe loss focal fails"):
        start(study_of(BadFunction(), trials=1, executor="inline"), tmp_path)
    assert list(tmp_path.glob("*.db")) == []
    assert "tried" not in capfd.readouterr().out


def test_a_function_that_fails_on_the_cpu_is_a_warning_where_trials_have_a_gpu():
    assert "Recipe loss focal fails (it was tried on the CPU)" in found(BadFunction(), samples=1, gpus=1).warnings


def test_warnings_about_the_data_are_shown_by_a_check_and_a_run(tmp_path, capfd):
    class Odd(Costly):
        def data_warnings(self, shared: int) -> list[str]:
            return [f"{shared} rows are odd"]

    assert found(Odd(), samples=1).warnings == ["100 rows are odd"]
    study_of(Odd(), trials=1, executor="inline").run(tmp_path / "x.db")
    assert warnings(capfd) == ["warning: 100 rows are odd"]


def test_a_goal_that_is_not_reported():
    class Named(Costly):
        optional_metrics = ("size",)

        def metrics_of(self, shared: int) -> tuple[str, ...]:
            return ("loss", "accuracy")

    def check(metric: str) -> None:
        preflight(Study(name="small", objective=Named(), minimize=metric, strategy=Random()), 1)

    check("loss")
    with pytest.raises(SpecError, match="unknown metric 'acuracy'; known: accuracy, loss; did you mean 'accuracy'"):
        check("acuracy")
    with pytest.raises(
        SpecError, match=r"'size' is reported only where it is named; write Named\(..., metrics=\('size'"
    ):
        check("size")


def warnings(capfd) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]


def test_a_run_warns_once_and_goes_on(tmp_path, capfd):
    study = study_of(Costly(most=7), trials=2, executor="inline")
    assert len(study.run(tmp_path / "small.db").trials) == 2
    (warning,) = warnings(capfd)
    assert re.match(r"warning: \d of 22 configurations cannot be trained", warning)
    resume(tmp_path / "small.db", trials=4)
    study.run(tmp_path / "quiet.db", quiet=True)
    study_of(Costly(), trials=2, executor="inline").run(tmp_path / "sound.db")
    assert warnings(capfd) == []


def test_a_run_of_what_can_never_be_built_leaves_nothing_behind(tmp_path):
    with pytest.raises(SpecError, match="none of 22 configurations can be trained"):
        study_of(Costly(most=0), trials=2, executor="inline").run(tmp_path / "small.db")
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ("low + high < 1.5", None),
        ("low + high < 0.2", "reject 9[78].\\d% of all draws, which leaves little to search; narrow the domains"),
        ("low + high < 0.02", "reject >99.9% of all draws"),
    ],
)
def test_a_run_warns_when_the_constraints_leave_next_to_nothing(rule, warning):
    space = Space(constraint(rule), low=Float(0, 1), high=Float(0, 1))
    told = check_space(study_of(Costly(space)))
    assert told is None if warning is None else re.search(warning, told)


def test_a_space_without_a_legal_config_leaves_no_store_behind(tmp_path):
    space = Space(constraint("low > 2"), low=Float(0, 1))
    with pytest.raises(SpaceError, match="no legal config, or hardly any: of 100,000 draws, 100% violated 'low > 2'"):
        study_of(Costly(space), trials=3, executor="inline").run(tmp_path / "empty.db", quiet=True)
    assert list(tmp_path.glob("*.db")) == []


def test_a_check_that_takes_too_long_tells_what_it_has(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("archsearch.search.engine.preflight.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    result = preflight(study_of(Costly()), 300, limit_s=50)
    assert result.configs == 50
    assert result.warnings == ["stopped after 50s, with 50 of 302 configurations counted"]
    assert "small: infinite space; 50 sampled configurations checked" in shown(result)


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"pruner": Median(), "budget": 4}, r"Median stops no trial before step 4 \(warmup_steps=3\), .* budget=4"),
        ({"pruner": Median(startup_trials=9), "trials": 9}, r"Median waits for 9 finished trials .* trials=9"),
        ({"pruner": Percentile(warmup_steps=8), "budget": 9}, r"Percentile stops no trial before step 9"),
        ({"pruner": SuccessiveHalving(), "budget": 4}, r"SuccessiveHalving stops no trial before step 4 \(min_steps=4"),
        ({"pruner": Patience(), "budget": 6}, r"Patience stops no trial before step 6 \(steps=5\)"),
        ({"pruner": Extrapolation(), "budget": 2}, "Extrapolation stops no trial before step 2"),
        ({"strategy": TPE(), "trials": 10}, r"TPE draws the first 10 trials at random .*use TPE\(startup_trials=3\)"),
        ({"strategy": GP(), "trials": 4}, "GP draws the first 10 trials at random"),
        ({"strategy": Bayes(), "trials": 4}, "Bayes draws the first 10 trials at random"),
        ({"strategy": Evolution(), "trials": 20}, r"Evolution draws .*use Evolution\(population=6\)"),
        ({"strategy": NSGA2(), "trials": 10}, "NSGA2 draws the first 10 trials at random"),
        ({"strategy": ASHA(TPE()), "trials": 10, "budget": 9}, "TPE draws the first 10 trials at random"),
        ({"strategy": Hyperband(TPE()), "trials": 10, "budget": 9}, "TPE draws the first 10 trials at random"),
        ({"strategy": TopK(TPE()), "trials": 10, "budget": 9}, "TPE draws the first 10 trials at random"),
        ({"minimize": "val_accuracy"}, "minimize='val_accuracy': higher is .*did you mean maximize='val_accuracy'"),
        ({"minimize": None, "maximize": "val_loss"}, "maximize='val_loss': lower is .*mean minimize='val_loss'"),
        ({"minimize": None, "maximize": ["f1", "RMSE"]}, "maximize='RMSE'"),
        ({"minimize": "valAcc"}, "did you mean maximize='valAcc'"),
        (
            {"workers": 4, "executor": "inline"},
            "executor='inline' runs one trial at a time, so workers=4 has no effect",
        ),
        ({"cpus": 4096}, r"cpus=4096, but this machine has \d+ cores?, .* use cpus=\d+ or fewer"),
    ],
)
def test_settings_that_do_nothing_are_told(settings: dict[str, Any], warning: str) -> None:
    study = Study(**{"name": "s", "objective": lambda trial: {}, "space": SPACE, "minimize": "loss", **settings})
    (told,) = preflight(study, 10).warnings
    assert re.search(warning, told)


@pytest.mark.parametrize(
    "settings",
    [
        {"pruner": Median(), "budget": 5, "trials": 6},
        {"pruner": Median()},
        {"pruner": SuccessiveHalving(), "budget": 5},
        {"pruner": Patience(), "budget": 7},
        {"pruner": Extrapolation(), "budget": 3},
        {"strategy": TPE(), "trials": 11},
        {"strategy": TPE(), "trials": None, "timeout": 60},
        {"strategy": ASHA(), "trials": 3, "budget": 9},
        {"trials": 5},
        {"maximize": "val_accuracy", "minimize": "accuracy_loss"},
        {"minimize": "negative_accuracy"},
        {"minimize": ["cost", "score"]},
        {"minimize": "lossless"},
        {"workers": 1, "executor": "inline"},
        {"workers": 4, "cpus": 1},
    ],
)
def test_settings_that_do_something_are_not(settings: dict[str, Any]) -> None:
    study = Study(**{"name": "s", "objective": lambda trial: {}, "space": SPACE, "minimize": "loss", **settings})
    assert preflight(study, 10).warnings == []


def test_a_run_tells_them_at_its_start_and_of_the_trials_that_it_will_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def loss(trial: Any) -> dict[str, float]:
        return {"loss": trial.config["width"]}

    made = Study(
        name="s", objective=loss, space=SPACE, minimize="loss", strategy=TPE(), trials=3, executor="inline", seed=1
    )
    made.run(tmp_path / "s.db")
    told = capsys.readouterr().err
    assert told.index("warning: TPE draws the first 10 trials at random") < told.index("1/3")
    resume(tmp_path / "s.db", trials=4)
    assert "warning" not in capsys.readouterr().err
    assert setting_warnings(made, 30) == []


def test_a_cluster_may_have_more_cores_than_this_machine() -> None:
    study = study_of(Costly(), cpus=4096)
    assert setting_warnings(study, 30, address="ray://elsewhere:10001") == []
    assert len(setting_warnings(study, 30)) == 1
