"""Two objectives: a network for handwritten digits with high accuracy and few parameters.

    archsearch run examples/digits_small.py
    archsearch best digits-small.db         # the Pareto front
    archsearch report digits-small.db

The two goals conflict, so the result is a Pareto front of networks. Networks with 50,000 parameters or more are
infeasible. Sixty configurations are trained for up to 15 epochs each. This takes a minute on two cores.
"""

from archsearch import MLP, NSGA2, Choice, Float, Int, Recipe, Study, SuccessiveHalving, Supervised, digits

study = Study(
    name="digits-small",
    objective=Supervised(
        data=digits(),
        network=MLP(
            layers=Int(1, 3),
            units=Int(4, 256, log=True),
            activation=Choice("relu", "silu"),
        ),
        recipe=Recipe(
            optimizer="adamw",
            learning_rate=Float(1e-3, 1e-1, log=True),
            batch_size=32,
        ),
        metrics=("parameters",),
    ),
    maximize="val_accuracy",
    minimize="parameters",
    outcome_constraints=["parameters < 50000"],
    strategy=NSGA2(),
    pruner=SuccessiveHalving(),  # compares the Pareto fronts of trials at the same step
    trials=60,
    budget=15,
)

if __name__ == "__main__":
    study.run()
