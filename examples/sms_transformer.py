"""Text classification with a transformer, on the messages of sms_textcnn.py.

    SMS=/path/to/SMSSpamCollection.txt archsearch run examples/sms_transformer.py

The width of the network is heads * head_width, so that all combinations are valid. Twelve configurations take a
minute on two cores.
"""

import os

from archsearch import (
    TPE,
    Choice,
    DataError,
    Float,
    Int,
    Recipe,
    Study,
    SuccessiveHalving,
    Supervised,
    TextTransformer,
    text,
)

path = os.environ.get("SMS")
if path is None:
    raise DataError(
        "the environment variable SMS is not set; it names the file of the UCI SMS Spam Collection: "
        "SMS=/path/to/SMSSpamCollection.txt archsearch run examples/sms_transformer.py"
    )

study = Study(
    name="sms-transformer",
    objective=Supervised(
        data=text(path, names=["label", "message"], header=False, delimiter="\t", target="label", text="message"),
        network=TextTransformer(
            layers=Int(1, 2),
            heads=Choice(1, 2, 4, ordered=True),
            head_width=Choice(8, 16, ordered=True),
            feed_forward=Choice(1, 2, 4, ordered=True),
            positions=Choice("learned", "sinusoidal"),
            pooling=Choice("average", "max", "class_token"),
            dropout=Float(0.0, 0.4),
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
