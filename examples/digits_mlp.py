"""Search the depth, width and training settings of a small network for handwritten digits.

    archsearch run examples/digits_mlp.py
    archsearch report digits-mlp.db

Thirty configurations are trained on scikit-learn's 1,797 digits, for up to 20 epochs each: half a minute on two cores.
"""

from archsearch import MLP, TPE, Choice, Float, Int, Recipe, Study, SuccessiveHalving, Supervised, digits

study = Study(
    name="digits-mlp",
    objective=Supervised(
        data=digits(),
        network=MLP(
            layers=Int(1, 3),
            units=Choice(32, 64, 128, 256, ordered=True),
            activation=Choice("relu", "elu", "silu"),
            dropout=Float(0.0, 0.5),
            norm=Choice("none", "batch"),
        ),
        recipe=Recipe(
            optimizer=Choice("sgd", "adamw"),
            learning_rate=Float(1e-3, 1e-1, log=True),
            batch_size=Choice(32, 64, 128, ordered=True),
            weight_decay=Float(1e-6, 1e-2, log=True),
        ),
    ),
    maximize="val_accuracy",
    strategy=TPE(),
    pruner=SuccessiveHalving(),
    trials=30,
    budget=20,  # epochs per trial
)

if __name__ == "__main__":  # to run it with Python: `python examples/digits_mlp.py`
    study.run()
