"""A model as a function of Spark's, on a real Spark: where pyspark and Java are installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import mlgit

pyspark = pytest.importorskip("pyspark")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
]


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Any:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(mlgit.__file__).parents[1]))
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.getOrCreate()
    yield session
    session.stop()


def test_columns_and_structs(in_repo: Path, spark: Any) -> None:
    pd = pytest.importorskip("pandas")
    linear_model = pytest.importorskip("sklearn.linear_model")
    from pyspark.sql.functions import struct

    data = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
    model = linear_model.LinearRegression().fit(data, data.a * 2 + data.b)
    with mlgit.start_run():
        info = mlgit.sklearn.log_model(model, name="model", input_example=data)
    predict = mlgit.pyfunc.spark_udf(spark, info.model_uri, result_type="double")
    frame = spark.createDataFrame(data)
    for columns in (("a", "b"), (struct("a", "b"),)):
        rows = frame.withColumn("found", predict(*columns)).collect()
        assert [row["found"] for row in rows] == pytest.approx([2.0, 5.0, 6.0])
