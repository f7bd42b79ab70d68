"""Regression: how many points of disease progression is a network off, and does regularisation help on 442 patients?

archsearch run examples/diabetes_regression.py
"""

from archsearch import MLP, Bayes, Choice, Float, Int, Median, Recipe, Study, Supervised, diabetes

study = Study(
    name="diabetes",
    objective=Supervised(
        data=diabetes(),
        network=MLP(layers=Int(1, 2), units=Int(4, 64, log=True), activation="silu", dropout=Float(0.0, 0.6)),
        recipe=Recipe(
            optimizer="adamw",
            learning_rate=Float(1e-3, 1e-1, log=True),
            batch_size=Choice(16, 32, 64, ordered=True),
            weight_decay=Float(1e-4, 1.0, log=True),
        ),
    ),
    minimize="val_rmse",  # in the target's own units; always saying the mean is off by about 75
    strategy=Bayes(),
    pruner=Median(),
    trials=40,
    budget=40,
)
