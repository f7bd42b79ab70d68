"""Embeddings of categories: predict which clients of a bank subscribe to a deposit.

    BANK=/path/to/bank-full.csv archsearch run examples/bank_embeddings.py

The data is that of bank_csv.py, where each category is one-hot encoded. Here, categories are codes, and the network
learns an embedding vector for each category. The width of the embeddings is searched.
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
