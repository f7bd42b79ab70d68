"""MNIST, or another data set in its IDX format (Fashion-MNIST, KMNIST, EMNIST), plain or gzipped.

    MNIST=/path/to/folder archsearch run examples/mnist_mlp.py

The folder contains train-images-idx3-ubyte(.gz), train-labels-idx1-ubyte(.gz), and t10k-… with the official test part,
which the search does not use.
"""

import os

from archsearch import MLP, TPE, Choice, DataError, Float, Int, Recipe, Split, Study, SuccessiveHalving, Supervised, idx

folder = os.environ.get("MNIST")
if folder is None:
    raise DataError(
        "the environment variable MNIST is not set; it names the folder with train-images-idx3-ubyte.gz and its "
        "siblings: MNIST=/path/to/folder archsearch run examples/mnist_mlp.py"
    )

study = Study(
    name="mnist-mlp",
    objective=Supervised(
        data=idx(folder, split=Split(validation=1 / 6)),
        network=MLP(
            layers=Int(1, 3),
            units=Choice(64, 128, 256, 512, ordered=True),
            activation=Choice("relu", "gelu"),
            dropout=Float(0.0, 0.5),
            norm=Choice("none", "batch"),
        ),
        recipe=Recipe(
            optimizer="adamw",
            learning_rate=Float(3e-4, 1e-2, log=True),
            batch_size=Choice(128, 256, 512, ordered=True),
            weight_decay=Float(1e-5, 1e-1, log=True),
        ),
    ),
    maximize="val_accuracy",
    strategy=TPE(),
    pruner=SuccessiveHalving(min_steps=1),
    trials=12,
    budget=6,
)
