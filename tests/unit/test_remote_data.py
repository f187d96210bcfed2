"""Data roots on S3, against a real HTTP server."""

from __future__ import annotations

import io

import boto3
import numpy as np
import pytest
from PIL import Image

from trainables import data
from trainables.errors import BadData
from trainables.sections import Data


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HPO_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="pictures")
    yield client
    server.stop()


def put(client, key, shade):
    body = io.BytesIO()
    Image.fromarray(np.full((6, 6, 3), shade, dtype=np.uint8)).save(body, "PNG")
    client.put_object(Bucket="pictures", Key=key, Body=body.getvalue())


def test_a_folder_of_images_is_fetched_once_and_anew_when_it_changed(bucket, tmp_path):
    for k in range(2):
        for i in range(6):
            put(bucket, f"zoo/class{k}/{i}.png", 100 * k + i)
    put(bucket, "zoology/class0/0.png", 0)  # a neighbour whose name begins alike
    settings = Data("image_folder", "s3://pictures/zoo")
    first = data.load(settings, image_size=6)
    assert sum(len(s) for s in (first.train, first.validation, first.test)) == 12
    data._load.cache_clear()
    assert data.load(settings, image_size=6).digest == first.digest
    assert len(list((tmp_path / "cache" / "remote").iterdir())) == 1
    put(bucket, "zoo/class0/6.png", 50)
    data._load.cache_clear()
    assert data.load(settings, image_size=6).digest != first.digest


def test_one_file_of_arrays(bucket):
    body = io.BytesIO()
    np.savez(body, images=np.zeros((20, 4, 4), np.uint8), labels=np.arange(20) % 2)
    bucket.put_object(Bucket="pictures", Key="sets/a.npz", Body=body.getvalue())
    assert len(data.load(Data("npz", "s3://pictures/sets/a.npz"), image_size=4).train) == 13


@pytest.mark.parametrize(
    ("root", "message"), [("s3://pictures/nothing", "there are none below"), ("s3://no-bucket/a", "must be readable")]
)
def test_what_is_not_there_is_refused(bucket, root, message):
    with pytest.raises(BadData, match=message):
        data.load(Data("image_folder", root), image_size=4)
