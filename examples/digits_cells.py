"""Architecture search: which small graph of operations, repeated, makes the best network for handwritten digits?

    archsearch run examples/digits_cells.py
    archsearch report digits-cells.db

A cell of three nodes has six edges, and each is one of six operations: 46,656 cells, of which the search trains
sixteen for up to 10 epochs each on scikit-learn's 1,797 digits: a minute on two cores.
"""

from archsearch import TPE, Cells, Choice, Float, Recipe, Study, SuccessiveHalving, Supervised, digits

study = Study(
    name="digits-cells",
    objective=Supervised(
        data=digits(),
        network=Cells(
            nodes=3,
            operation=Choice("conv", "separable", "max_pool", "average_pool", "skip", "none"),  # of each edge
            cells=1,  # of a stage
            stages=2,  # of 8x8 and of 4x4 pixels
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
    budget=10,  # epochs of a full trial
)

if __name__ == "__main__":  # the same from Python: `python examples/digits_cells.py`
    study.run()
