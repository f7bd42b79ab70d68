"""How deep and wide should a small network for handwritten digits be?

    archsearch run examples/digits_mlp.py
    archsearch report digits-mlp.db

Thirty configurations of up to 20 epochs each on scikit-learn's 1,797 digits: half a minute on two cores.
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
    budget=20,  # epochs of a full trial
)

if __name__ == "__main__":  # the same from Python: `python examples/digits_mlp.py`
    study.run()
