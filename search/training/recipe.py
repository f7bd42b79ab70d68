"""Recipe: how a network is trained, as far as it may be searched: optimizer, rates, batch size."""

from __future__ import annotations

from dataclasses import dataclass

from spaces import Choice, Domain, Space, When
from spaces.networks.settings import check_name, check_number, check_whole, outermost

OPTIMIZERS = ("adamw", "sgd")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`Recipe(optimizer=Choice("sgd", "adamw"), learning_rate=Float(1e-4, 1e-1, log=True))`.

    Each argument is a fixed value or a domain.

    optimizer: "adamw" or "sgd"; AdamW, since it asks for the least tuning. learning_rate: above 0; 1e-3 is what
    Kingma and Ba (2015, section 2) found good for Adam. momentum: in [0, 1), of SGD alone; 0.9 is the custom of the
    field. batch_size: samples in a step, at least 1; 64 is small enough to generalise and large enough to be quick.
    weight_decay: at least 0; decoupled in AdamW, added to the gradient in SGD, as in torch.optim.

    Raises SpaceError for a value outside these bounds, or a domain that reaches outside.
    """

    optimizer: str | Choice = "adamw"
    learning_rate: float | Domain = 1e-3
    momentum: float | Domain = 0.9
    batch_size: int | Domain = 64
    weight_decay: float | Domain = 0.0

    def __post_init__(self) -> None:
        check_name("optimizer", self.optimizer, OPTIMIZERS)
        check_number("Recipe learning_rate", self.learning_rate, "above 0", above=0)
        check_number("Recipe momentum", self.momentum, "in [0, 1)", low=0, below=1)
        check_whole("Recipe batch_size", self.batch_size, low=1)
        check_number("Recipe weight_decay", self.weight_decay, "of at least 0", low=0)

    @property
    def space(self) -> Space:
        """Every argument by its name; `momentum` is there only where SGD is."""
        names = outermost(self.optimizer)
        momentum = self.momentum if set(names) == {"sgd"} else When("optimizer == 'sgd'", self.momentum)
        return Space(
            {
                "optimizer": self.optimizer,
                "learning_rate": self.learning_rate,
                **({"momentum": momentum} if "sgd" in names else {}),
                "batch_size": self.batch_size,
                "weight_decay": self.weight_decay,
            }
        )
