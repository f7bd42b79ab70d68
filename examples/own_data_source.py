"""A data source of your own: a class with the method `load`, for data in any format.

    archsearch run examples/own_data_source.py

This one reads JSON Lines, one record per line. The environment variable RECORDS names the file; without it, the example
generates 600 visits to a web shop, a third of which end with a purchase. Twenty configurations take ten seconds on two
cores.
"""

import json
import os
import random
import tempfile
from pathlib import Path

from archsearch import MLP, Data, DataSource, Float, Int, Recipe, Samples, Split, Study, Supervised


class JsonLines(DataSource):
    def __init__(self, path: Path, target: str) -> None:
        self.path, self.target = path, target

    def load(self) -> Samples:
        records = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        columns = {name: [record.get(name) for record in records] for name in records[0]}
        targets = columns.pop(self.target)
        return Samples(inputs=columns, targets=targets)  # numbers and text; None is a missing value


path = Path(os.environ.get("RECORDS") or Path(tempfile.gettempdir()) / "archsearch-visits.jsonl")
if "RECORDS" not in os.environ:
    rng = random.Random(0)
    visits = [{"pages": rng.randint(1, 20), "source": rng.choice(["ad", "mail", "search"])} for _ in range(600)]
    lines = (json.dumps({**visit, "bought": visit["pages"] > 9 and visit["source"] != "ad"}) for visit in visits)
    path.write_text("\n".join(lines), encoding="utf-8")

data = Data(JsonLines(path, target="bought"), split=Split(validation=0.3))
recipe = Recipe(learning_rate=Float(1e-3, 1e-1, log=True))
objective = Supervised(data, MLP(layers=Int(1, 3), units=Int(4, 64, log=True)), recipe)
study = Study(name="own-data-source", objective=objective, maximize="val_accuracy", trials=20, budget=15)
