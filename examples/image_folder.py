"""Your own images, in one folder per class: search the size and the kind of a convolutional network.

    IMAGES=/path/to/folder archsearch run examples/image_folder.py
    archsearch report image-folder.db

The folder contains one folder per class, with images of any size: cat/1.jpg, cat/2.png, …, dog/1.jpg, … They are
scaled to 32x32 pixels; larger images may contain more information, but training takes longer.
"""

import os

from archsearch import (
    CNN,
    TPE,
    Choice,
    DataError,
    Float,
    Int,
    Recipe,
    Study,
    SuccessiveHalving,
    Supervised,
    image_folder,
)

folder = os.environ.get("IMAGES")
if folder is None:
    raise DataError(
        "the environment variable IMAGES is not set; it names a folder with a folder of images per class: "
        "IMAGES=/path/to/folder archsearch run examples/image_folder.py"
    )

study = Study(
    name="image-folder",
    objective=Supervised(
        data=image_folder(folder, size=(32, 32)),
        network=CNN(
            blocks=Int(2, 4),  # each halves the height and the width
            channels=Choice(8, 16, 32, ordered=True),  # in each block
            block=Choice("plain", "residual", "separable"),
            pooling="stride",
            norm="batch",
            dropout=Float(0.0, 0.5),
        ),
        recipe=Recipe(
            learning_rate=Float(1e-3, 1e-2, log=True),
            batch_size=Choice(32, 64, ordered=True),
            shift=Int(0, 4),  # pixels, drawn at random in each step
            class_weights="balanced",  # each class has the same weight, also with few images
        ),
    ),
    maximize="val_accuracy",
    strategy=TPE(),
    pruner=SuccessiveHalving(),
    trials=20,
    budget=12,  # epochs per trial
)

if __name__ == "__main__":  # to run it with Python: `python examples/image_folder.py`
    study.run()
