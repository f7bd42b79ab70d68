"""Architecture search: find the best cell, a small graph of operations that is repeated, for handwritten digits.

    archsearch run examples/digits_cells.py
    archsearch report digits-cells.db

A cell with three nodes has six edges, each with one of six operations, so there are 46,656 cells. The search trains
sixteen of them on scikit-learn's 1,797 digits, for up to 10 epochs each. This takes a minute on two cores.
"""

from archsearch import TPE, Cells, Choice, Float, Recipe, Study, SuccessiveHalving, Supervised, digits

study = Study(
    name="digits-cells",
    objective=Supervised(
        data=digits(),
        network=Cells(
            nodes=3,
            operation=Choice("conv", "separable", "max_pool", "average_pool", "skip", "none"),  # on each edge
            cells=1,  # per stage
            stages=2,  # with 8x8 and 4x4 pixels
            channels=16,
        ),
        recipe=Recipe(
            learning_rate=Float(1e-3, 1e-2, log=True),
            batch_size=32,
        ),
    ),
    maximize="val_accuracy",
    strategy=TPE(),
    pruner=SuccessiveHalving(),
    trials=16,
    budget=10,  # epochs per trial
)

if __name__ == "__main__":  # to run it with Python: `python examples/digits_cells.py`
    study.run()
