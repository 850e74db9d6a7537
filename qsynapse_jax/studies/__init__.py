"""Studies that the command line and the experiments run: a configuration in, a record out; no console."""

from qsynapse_jax.studies._codesign import CodesignResult as CodesignResult
from qsynapse_jax.studies._codesign import run_codesign as run_codesign
from qsynapse_jax.studies._config import CellConfig as CellConfig
from qsynapse_jax.studies._config import CodesignConfig as CodesignConfig
from qsynapse_jax.studies._config import NetworkConfig as NetworkConfig
from qsynapse_jax.studies._insitu import InsituResult as InsituResult
from qsynapse_jax.studies._insitu import run_insitu as run_insitu
from qsynapse_jax.studies._insitu_config import InsituConfig as InsituConfig
from qsynapse_jax.studies._network import NetworkResult as NetworkResult
from qsynapse_jax.studies._network import evaluate_run as evaluate_run
from qsynapse_jax.studies._network import run_network as run_network
from qsynapse_jax.studies._program import ProgramResult as ProgramResult
from qsynapse_jax.studies._program import run_program as run_program
from qsynapse_jax.studies._program_config import ProgramConfig as ProgramConfig
from qsynapse_jax.studies._record import Claim as Claim
from qsynapse_jax.studies._record import Record as Record
from qsynapse_jax.studies._record import TextTable as TextTable
from qsynapse_jax.studies._record import claim as claim
from qsynapse_jax.studies._record import read_record as read_record
from qsynapse_jax.studies._record import write_record as write_record
from qsynapse_jax.studies._store import find_run as find_run
from qsynapse_jax.studies._store import run_folder as run_folder
from qsynapse_jax.studies._train import Progress as Progress
