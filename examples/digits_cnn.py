"""Search a convolutional network for handwritten digits: plain, residual or separable blocks, depth and width.

    archsearch run examples/digits_cnn.py
    archsearch report digits-cnn.db

Twenty configurations are trained on scikit-learn's 1,797 digits, for up to 12 epochs each: a minute on two cores.
"""

from archsearch import CNN, TPE, Choice, Float, Int, Recipe, Study, SuccessiveHalving, Supervised, digits

study = Study(
    name="digits-cnn",
    objective=Supervised(
        data=digits(),
        network=CNN(
            blocks=Int(1, 3),  # each halves the 8x8 pixels
            channels=Choice(8, 16, 32, ordered=True),  # in each block
            block=Choice("plain", "residual", "separable"),
            convolutions=Int(1, 2),  # per block
            pooling=Choice("max", "stride"),
            norm="batch",
            head="flatten",
            dense_layers=Int(0, 1),
            units=Choice(64, 128, ordered=True),
            dropout=Float(0.0, 0.3),
        ),
        recipe=Recipe(
            learning_rate=Float(3e-4, 5e-3, log=True),
            batch_size=Choice(16, 32, 64, ordered=True),
        ),
    ),
    maximize="val_accuracy",
    strategy=TPE(),
    pruner=SuccessiveHalving(),
    trials=20,
    budget=12,  # epochs per trial
)

if __name__ == "__main__":  # to run it with Python: `python examples/digits_cnn.py`
    study.run()
