"""What the base class does around `propose`, and what a wrapping strategy checks of the wrapped one."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch import ASHA, Float, Hyperband, Session, Space, SpecError, Strategy, Study


class Constant(Strategy):
    def propose(self, history: Any, rng: Any) -> Any:
        return {"x": 0.5} if rng.random() < 0.5 else {"x": float(rng.random())}


def test_a_configuration_is_not_proposed_twice_in_a_continuous_space_either() -> None:
    with Session(Space(x=Float(0, 1)), minimize="loss", strategy=Constant()) as session:
        for _ in range(5):
            session.tell(session.ask(), 1.0)  # type: ignore[arg-type]
    configs = [trial.config["x"] for trial in session.history.trials]
    assert 0.5 in configs
    assert len(set(configs)) == 5


class Empty(Strategy):
    pass


class Misspelt(Constant):
    def promoted(self, history: Any, n: int) -> list[Any]:
        return []


@pytest.mark.parametrize("wrapper", [ASHA, Hyperband])
@pytest.mark.parametrize(
    ("inner", "message"), [(Empty(), "must have a method"), (Misspelt(), "did you mean `promote`")]
)
def test_a_wrapped_strategy_is_checked_like_any_other(wrapper: Any, inner: Strategy, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Study(
            name="s",
            objective=lambda trial: 1.0,
            space=Space(x=Float(0, 1)),
            minimize="loss",
            strategy=wrapper(inner),
            budget=9,
        )
