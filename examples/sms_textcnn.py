"""Text classification: detect spam among short messages with a convolutional network.

    SMS=/path/to/SMSSpamCollection.txt archsearch run examples/sms_textcnn.py

The file is the UCI SMS Spam Collection (5,574 messages, each line `label<TAB>text`, no header). Words are
numbered by their frequency in the training part. Twelve configurations take a minute on two cores.
"""

import os

from archsearch import TPE, Choice, DataError, Float, Int, Recipe, Study, SuccessiveHalving, Supervised, TextCNN, text

path = os.environ.get("SMS")
if path is None:
    raise DataError(
        "the environment variable SMS is not set; it names the file of the UCI SMS Spam Collection: "
        "SMS=/path/to/SMSSpamCollection.txt archsearch run examples/sms_textcnn.py"
    )

study = Study(
    name="sms-textcnn",
    objective=Supervised(
        data=text(path, names=["label", "message"], header=False, delimiter="\t", target="label", text="message"),
        network=TextCNN(
            embedding=Choice(16, 32, 64, ordered=True),
            filters=Choice(16, 32, 64, ordered=True),
            kernels=Choice((3,), (2, 3), (3, 4, 5)),
            layers=Int(1, 2),
            pooling=Choice("max", "average"),
            hidden=Choice(0, 32),
            dropout=Float(0.0, 0.6),
        ),
        recipe=Recipe(
            learning_rate=Float(3e-4, 1e-2, log=True),
            batch_size=Choice(32, 64, 128, ordered=True),
            weight_decay=Float(1e-3, 1e0, log=True),
        ),
    ),
    minimize="val_loss",  # only one in eight is spam, so accuracy is less informative
    strategy=TPE(),
    pruner=SuccessiveHalving(min_steps=1),
    trials=12,
    budget=4,
)
