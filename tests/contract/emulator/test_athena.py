"""The example notebook for Athena, run as it is: workgroup, catalogue, results in S3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[3] / "docs/examples/athena.ipynb"
COLUMNS = [{"Name": "shop", "Type": "string"}, {"Name": "cents", "Type": "bigint"}]
CSV = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        "Parameters": {"field.delim": ","},
    },
}


@pytest.fixture
def lake(cloud) -> str:
    """A table of two files, and a workgroup that says where results go; its name."""
    s3, glue, athena = (cloud.client(name) for name in ("s3", "glue", "athena"))
    where = {"LocationConstraint": "eu-west-1"}
    for bucket in ("example-lake", "example-results"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    s3.put_object(Bucket="example-lake", Key="orders/1.csv", Body=b"lyon,150\nnice,40\n")
    s3.put_object(Bucket="example-lake", Key="orders/2.csv", Body=b"lyon,25\n")
    glue.create_database(DatabaseInput={"Name": "lake"})
    table = {"Columns": COLUMNS, "Location": "s3://example-lake/orders/", **CSV}
    glue.create_table(DatabaseName="lake", TableInput={"Name": "orders", "StorageDescriptor": table})
    athena.create_work_group(
        Name="members",
        Configuration={
            "ResultConfiguration": {"OutputLocation": "s3://example-results/members/"},
            "EnforceWorkGroupConfiguration": True,
            "BytesScannedCutoffPerQuery": 10**9,
        },
    )
    return "members"


def test_the_notebook_asks_the_lake(cloud, lake, monkeypatch, capsys) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-1", "ATHENA_WORKGROUP": lake,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - the example itself
    assert capsys.readouterr().out.splitlines() == ["lyon 175", "nice 40"]
    written = [o["Key"] for o in cloud.client("s3").list_objects_v2(Bucket="example-results")["Contents"]]
    assert [key for key in written if key.startswith("members/") and key.endswith(".csv")], written
