"""Regression: predict the progression of diabetes in 442 patients, and find out how much regularization helps.

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
    minimize="val_rmse",  # in the unit of the target; about 75 if the mean is always predicted
    strategy=Bayes(),
    pruner=Median(),
    trials=40,
    budget=40,
)
