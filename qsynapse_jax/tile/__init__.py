"""A crossbar array with all that surrounds it, as many of them as a matrix needs: written, read and aged."""

from qsynapse_jax.tile._analog import analog as analog
from qsynapse_jax.tile._tile import Tile as Tile
from qsynapse_jax.tile._tile import TileState as TileState
