"""A CSV file with numeric and categorical columns: predict which clients of a bank subscribe to a deposit.

    BANK=/path/to/bank-full.csv archsearch run examples/bank_csv.py

The file is the UCI Bank Marketing data set (45,211 rows, no header): numbers are standardized and categories one-hot
encoded, fitted on the training part only.
"""

import os

from archsearch import MLP, TPE, Choice, DataError, Float, Int, Median, Recipe, Study, Supervised, csv

COLUMNS = ["age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month"]
COLUMNS += ["duration", "campaign", "pdays", "previous", "poutcome", "y"]

path = os.environ.get("BANK")
if path is None:
    raise DataError(
        "the environment variable BANK is not set; it names the file bank-full.csv of the UCI Bank Marketing data: "
        "BANK=/path/to/bank-full.csv archsearch run examples/bank_csv.py"
    )

study = Study(
    name="bank",
    objective=Supervised(
        # The duration of a call is known only after it, so it is dropped.
        data=csv(path, target="y", header=False, names=COLUMNS, drop="duration"),
        network=MLP(layers=Int(1, 3), units=Choice(16, 32, 64, 128, ordered=True), dropout=Float(0.0, 0.5)),
        recipe=Recipe(learning_rate=Float(1e-4, 1e-2, log=True), batch_size=Choice(128, 256, 512, ordered=True)),
    ),
    minimize="val_loss",  # only one in ten subscribes, so accuracy says little
    strategy=TPE(),
    pruner=Median(),
    trials=20,
    budget=10,
)
