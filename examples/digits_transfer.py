"""Transfer learning: a network that was trained on the digits 0 to 6 learns to classify 7, 8 and 9 from five examples
of each. How many of its blocks should stay frozen?

    archsearch run examples/digits_transfer.py

For a network of your own, let `pretrained` create it and load its weights from a file. Here, it is trained for a
second on scikit-learn's digits, once in each process. Thirty configurations take half a minute on two cores. Over
five seeds, the same network reaches an accuracy of at most 96 % if it is trained from scratch, and 97 % with two
frozen blocks.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from archsearch import TPE, Choice, Float, Int, Pretrained, Recipe, Split, Study, Supervised, arrays

images, labels = load_digits(return_X_y=True)
images = (images.reshape(-1, 8, 8) - images.mean()) / images.std()
known = labels < 7


def pretrained() -> nn.Module:
    """A small convolutional network for images (batch, 1, 8, 8), trained on the digits 0 to 6."""
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(256, 7),
    )
    inputs, targets = torch.tensor(images[known], dtype=torch.float32).unsqueeze(1), torch.tensor(labels[known])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(3):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    return model


study = Study(
    name="digits-transfer",
    objective=Supervised(
        data=arrays(images[~known], labels[~known], task="classification", split=Split(validation=0.77, test=0.2)),
        network=Pretrained(
            pretrained,
            channels=1,
            freeze=Int(0, 3),  # blocks: the three inner nn.Sequential
            head_units=Choice(0, 64),
            head_dropout=Float(0.0, 0.5),
            rate_share=Float(0.01, 1.0, log=True),
            rate_decay=Float(0.1, 1.0, log=True),
        ),
        recipe=Recipe(learning_rate=Float(1e-3, 3e-2, log=True), batch_size=8),
    ),
    maximize="val_accuracy",
    strategy=TPE(),
    trials=30,
    budget=15,
)
