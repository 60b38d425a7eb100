"""Tar shards in the form of WebDataset."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from unit_sources import fed, same

from fastfeed import Loader
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files import webdataset

PIXELS = np.arange(6 * 12, dtype="uint8").reshape(6, 2, 2, 3)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture
def urls(tmp_path: Path) -> str:
    """Three shards of two samples: an image and its class."""
    for shard in range(3):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for number in range(2 * shard, 2 * shard + 2):
                parts = {"png": png(PIXELS[number]), "cls": str(number).encode()}
                for ending, data in parts.items():
                    info = tarfile.TarInfo(f"sample{number}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return str(tmp_path / "{0..2}.tar")


def numbers(urls: str) -> list[int]:
    """The classes of all samples."""
    return [int(number) for (number,) in webdataset(urls, ["cls"])(shard=0, num_shards=1)]


def test_decoded_samples_in_batches(urls: str) -> None:
    given = fed(webdataset(urls, ("png", "cls"), decode="rgb8"), batch_size=4, workers=0)
    assert same(given[0], (PIXELS[:4], np.arange(4)))
    assert same(given[1], (PIXELS[4:], np.arange(4, 6)))


def test_a_function_finishes_each_sample(urls: str) -> None:
    shards = webdataset(urls, ("png;jpg", "cls"), decode="rgb8", map=lambda s: (s[0][0], s[1] * 2))
    (batch,) = fed(shards, batch_size=6, workers=0)
    assert same(batch, (PIXELS[:, 0], np.arange(6) * 2))


def test_what_is_not_decoded_stays_bytes(urls: str) -> None:
    (batch,) = fed(webdataset(urls, ["png"]), batch_size=6, workers=0)
    assert batch == ([png(pixels) for pixels in PIXELS],)


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (1, 3), (1, 9), (2, 1), (2, 9), (3, 2)])
def test_each_sample_comes_once_over_all_workers_of_all_ranks(
    urls: str, world: int, workers: int
) -> None:
    options = {"batch_size": 2, "workers": workers, "use_multiprocessing": False}
    shards = webdataset(urls, ["cls"])
    given = [
        number
        for rank in range(world)
        for batch in fed(shards, shard=(rank, world), **options)
        for number in batch[0].tolist()
    ]
    assert sorted(given) == list(range(6))


def test_more_ranks_than_shards(urls: str) -> None:
    with pytest.raises(SourceError, match="4 workers of all ranks share 3 tar shards"):
        fed(webdataset(urls, ["cls"]), batch_size=2, workers=0, shard=(0, 4))


def test_the_launchers_variables_do_not_divide_the_shards_again(
    urls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("WORKER", "1")
    monkeypatch.setenv("NUM_WORKERS", "2")
    assert numbers(urls) == list(range(6))


def test_shuffled_otherwise_each_epoch_and_alike_in_each_run(urls: str) -> None:
    def epochs(seed: int) -> list[list[int]]:
        shards = webdataset(urls, ["cls"], shuffle=6)
        with Loader(shards, batch_size=6, workers=0, seed=seed) as loader:
            return [batch[0].tolist() for _ in range(3) for batch in loader]

    first = epochs(1)
    assert all(sorted(order) == list(range(6)) for order in first)
    assert len(set(map(tuple, [*first, list(range(6))]))) == 4
    assert epochs(1) == first != epochs(2)


def test_a_resumed_epoch_goes_on_where_it_was_left(urls: str) -> None:
    def loader() -> Loader:
        shards = webdataset(urls, ["cls"], shuffle=6)
        return Loader(shards, batch_size=1, workers=0, seed=1)

    with loader() as first:
        whole = [[batch[0].item() for batch in first] for _ in range(2)]
    with loader() as left:
        assert len(list(left)) == 6
        batches = iter(left)
        assert [next(batches)[0].item() for _ in range(4)] == whole[1][:4]
        state = left.state_dict()
    with loader() as resumed:
        resumed.load_state_dict(state)
        assert [batch[0].item() for batch in resumed] == whole[1][4:]


def test_one_path_and_compressed_shards(urls: str) -> None:
    path = Path(urls).with_name("2.tar")
    assert [number for (number,) in webdataset(path, ["cls"])(0, 1)] == [4, 5]
    compressed = path.with_suffix(".tar.gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert [number for (number,) in webdataset(compressed, ["cls"])(0, 1)] == [4, 5]


def test_a_stream_is_shuffled_where_it_is_made(urls: str) -> None:
    with pytest.raises(ArgumentError, match=r"webdataset\(\.\.\., shuffle=1000\)"):
        fed(webdataset(urls, ["cls"]), batch_size=2, workers=0, shuffle=True)


def test_shards_are_found_from_another_folder(urls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(urls).parent)
    shards = webdataset([Path("1.tar"), "0.tar"], ["cls"])
    monkeypatch.chdir("/")
    assert [number for (number,) in shards(shard=0, num_shards=1)] == [2, 3, 0, 1]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"urls": "none-{0..3}.tar"}, SourceError, r"There is no tar shard .*none-0\.tar"),
        ({"urls": []}, SourceError, "the list of urls is empty"),
        ({"keys": "cls"}, ArgumentError, r"keys=\('jpg', 'cls'\).*Received: 'cls'"),
        ({"keys": ()}, ArgumentError, r"Received: \(\)"),
        ({"keys": {"x": "cls"}}, ArgumentError, r"Received: \{'x': 'cls'\}"),
        ({"shuffle": -1}, ArgumentError, "Received: shuffle=-1"),
        ({"shuffle": True}, ArgumentError, "for example 1000.*Received: shuffle=True"),
        ({"map": 5}, ArgumentError, "is a function.*Received: map=5"),
        ({"urls": "*.tar"}, SourceError, r"stars do not: pass sorted\(.*glob"),
    ],
)
def test_bad_arguments(urls: str, change: dict[str, Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        webdataset(**({"urls": urls, "keys": ["cls"]} | change))


def test_a_shard_that_is_no_tar_file_and_a_missing_part_are_named(urls: str) -> None:
    words = r"The sample 'sample0' of .*0\.tar has no file that ends in 'jpg;npy'.*It has: png, cls"
    with pytest.raises(SourceError, match=words):
        list(webdataset(urls, ["cls", "jpg;npy"])(0, 1))
    path = Path(urls).with_name("1.tar")
    for content in (b"no tar file", path.read_bytes()[:700], b""):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"1\.tar is no tar file, or it is cut off.*anew"):
            fed(webdataset(urls, ["cls"]), batch_size=2, workers=int(not content))
