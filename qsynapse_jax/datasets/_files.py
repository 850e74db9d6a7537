"""Where the files of MNIST and Fashion-MNIST are found: folder, $QSYNAPSE_DATA, cache, download."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import pooch

ENV = "QSYNAPSE_DATA"

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

# Seconds to connect, seconds without a byte. urllib3 spends the first once per address of the host (S3 names
# about eight), so a network that drops packets silently costs about half a minute; a refusal costs nothing.
_TIMEOUT = (3.0, 15.0)


class DatasetUnavailable(FileNotFoundError):
    """A data set is neither on this machine nor to be had over the network."""


class Source(NamedTuple):
    """Where a data set is published, and the sha256 of each of its files."""

    url: str
    sha256: dict[str, str]


SOURCES = {
    # A mirror: the authors' own site often refuses downloads. The sha256 are those of the original files.
    "mnist": Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    # Plain http is all the publisher offers; the sha256 makes it safe.
    "fashion_mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}


def locate(name: str, folder: str | os.PathLike[str] | None) -> Path:
    """Folder that holds all four files of data set `name`, downloaded into the user's cache if need be.

    A set is taken from one place as a whole: own images never meet somebody else's labels.
    """
    if folder is not None:
        return _in_argument(name, Path(folder).expanduser())
    if not os.environ.get(ENV):
        return _from_cache(name, f"{ENV}: not set")
    root = Path(os.environ[ENV]).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"Environment variable {ENV} must name an existing folder, but {root} is not one. "
            "Correct it, or unset it to use the cache folder and the download."
        )
    missing = _missing(name, root / name)
    return _from_cache(name, f"{ENV}: {root / name} lacks {', '.join(missing)}") if missing else root / name


def _in_argument(name: str, folder: Path) -> Path:
    # No falling back from here: a mistyped folder of one's own data must not train on the official set.
    if not folder.is_dir():
        raise ValueError(f"Argument `folder` must name an existing folder, but {folder} is not one.")
    missing = _missing(name, folder)
    if not missing:
        return folder
    hint = f" They are in {folder / name}: pass that." if not _missing(name, folder / name) else ""
    raise DatasetUnavailable(
        f"Argument `folder` must hold the files of '{name}', but {folder} lacks {', '.join(missing)}.{hint} "
        "Leave `folder` out to use the cache and the download."
    )


def _missing(name: str, folder: Path) -> list[str]:
    return [file for file in SOURCES[name].sha256 if not (folder / file).is_file()]


def _from_cache(name: str, tried: str) -> Path:
    source, cache = SOURCES[name], Path(pooch.os_cache("qsynapse_jax")) / name
    # Any: pooch's own downloader does not fit the parameter names of its protocol for downloaders.
    downloader: Any = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=_TIMEOUT)
    for file, sha256 in source.sha256.items():
        try:
            # Writes under a temporary name, moves the file into place once its sha256 is right, removes it
            # otherwise; says on stderr what it downloads. A file there with the right sha256 is left alone.
            pooch.retrieve(source.url + file, sha256, file, cache, downloader=downloader)
        except (OSError, ValueError) as err:
            missing = _missing(name, cache)
            altered = "" if file in missing else f"{file} has not the official sha256; "
            cached = f"cache: {cache}: {altered}lacks {', '.join(missing) or 'no other file'}"
            download = f"download: {source.url + file}: {_reason(err)}"
            raise DatasetUnavailable(_instructions(name, cache, [tried, cached, download])) from None
    return cache


def _reason(err: Exception) -> str:
    """The cause of a failed download in one line; the message of `requests` nests three objects."""
    import requests

    if isinstance(err, requests.HTTPError) and err.response is not None:
        return f"the server answered {err.response.status_code} {err.response.reason}"
    if isinstance(err, requests.Timeout):
        return "timed out"
    if isinstance(err, requests.ConnectionError):
        return "no connection (is this machine offline?)"
    if "does not match the known hash" in str(err):
        return "what arrived has not the official sha256 (altered or replaced on its way), and was deleted"
    return f"{type(err).__name__}: {err}"


def _instructions(name: str, cache: Path, tried: list[str]) -> str:
    source = SOURCES[name]
    lines = [
        f"Data set '{name}' is not on this machine and could not be downloaded. Tried:",
        *(f"  {line}" for line in tried),
        "To use it, download these files where there is a network:",
        *(f"  {source.url}{file}\n    sha256 {sha256}" for file, sha256 in source.sha256.items()),
        "and put them, not unpacked, into one of:",
        f"  ${ENV}/{name}/ (set {ENV} to a folder of your choice)",
        f"  {cache}/",
        f"  any folder, passed as load('{name}', folder=...)",
        "load('digits') works without a download.",
    ]
    return "\n".join(lines)
