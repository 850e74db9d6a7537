"""Image sets the examples and experiments train on: digits (offline), MNIST, Fashion-MNIST."""

from ._files import DatasetUnavailable as DatasetUnavailable
from ._idx import read_idx as read_idx
from ._load import Dataset as Dataset
from ._load import load as load
