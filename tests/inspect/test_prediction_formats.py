"""Predictions as CSV: columns and cells."""

import csv
import io
from pathlib import Path

from gauss_vit.inspect.prediction_formats import CsvRows, Listing
from gauss_vit.inspect.predictions import Prediction
from gauss_vit.tasks.task import Records


def prediction(file: str, *names: str) -> Prediction:
    items = tuple({"index": index, "name": name, "score": 0.5} for index, name in enumerate(names))
    return Prediction(path=Path(file), records=Records(name="boxes", items=items))


def test_cells_are_read_back_as_they_are():
    found = prediction("a\nb, c.jpg", 'dog, "hound"')
    text = "\n".join([*CsvRows().heading(found), *CsvRows().lines(found)])
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"file": "a\nb, c.jpg", "index": "0", "name": 'dog, "hound"', "score": "0.5"}
    ]


def test_image_without_objects_has_no_row():
    assert CsvRows().lines(prediction("a.jpg")) == []


def test_columns_are_named_where_the_first_image_has_no_objects():
    listing = Listing(CsvRows())
    batches = [prediction("a.jpg")], [prediction("b.jpg"), prediction("c.jpg", "dog")], [prediction("d.jpg", "cat")]
    assert [listing.lines(batch) for batch in batches] == [
        [],
        ["file,index,name,score", "c.jpg,0,dog,0.5"],
        ["d.jpg,0,cat,0.5"],
    ]
