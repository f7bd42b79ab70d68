"""Which clients of a bank subscribe to a deposit, by vectors that are learned for jobs, months and other categories?

    BANK=/path/to/bank-full.csv archsearch run examples/bank_embeddings.py

The same data as in bank_csv.py. There each category is an input of its own; here it is a code, and the network learns
a vector for it, whose width is searched.
"""

import os

from archsearch import MLP, TPE, Choice, DataError, Float, Int, Median, Recipe, Study, Supervised, csv

COLUMNS = ["age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month"]
COLUMNS += ["duration", "campaign", "pdays", "previous", "poutcome", "y"]

path = os.environ.get("BANK")
if path is None:
    raise DataError(
        "the environment variable BANK is not set; it names the file bank-full.csv of the UCI Bank Marketing data: "
        "BANK=/path/to/bank-full.csv archsearch run examples/bank_embeddings.py"
    )

study = Study(
    name="bank-embeddings",
    objective=Supervised(
        data=csv(path, target="y", header=False, names=COLUMNS, drop="duration", categories="codes"),
        network=MLP(
            layers=Int(1, 3),
            units=Choice(32, 64, 128, ordered=True),
            shape=Choice("constant", "funnel"),
            embedding=Int(1, 12),
            dropout=Float(0.0, 0.5),
        ),
        recipe=Recipe(learning_rate=Float(1e-3, 3e-2, log=True), batch_size=Choice(128, 256, ordered=True)),
    ),
    minimize="val_loss",
    strategy=TPE(),
    pruner=Median(),
    trials=20,
    budget=10,
)
