"""What an exception of a library says about memory and about the process it came from. Pure; imports neither torch nor ray.

The libraries raise plain RuntimeErrors for most of this, so that their words have to be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.text import one_line
from trainables.errors import OutOfMemory, ProcessFault

MEMORY_CLASSES = {"OutOfMemory", "MemoryError", "OutOfMemoryError"}
MEMORY = re.compile(
    "can't allocate memory|DefaultCPUAllocator|out of memory"
    "|CU(?:DNN|BLAS|SOLVER|SPARSE)_STATUS_ALLOC_FAILED"
    "|unable to find an engine to execute this computation",  # cuDNN's words where none of its workspaces fits
    re.IGNORECASE,
)

FAULT_CLASSES = {"ProcessFault", "AcceleratorError", "DistBackendError"}
FAULT = re.compile(
    "CUDA error: (?:an illegal |device-side assert|unspecified launch|misaligned|invalid program counter|invalid address "
    "space|hardware stack|uncorrectable|the launch timed out|context is destroyed|initialization error|unknown error)"
    "|device-side assert triggered|illegal memory access|unspecified launch failure"
    "|CU(?:DNN|BLAS|SOLVER|SPARSE)_STATUS_(?:NOT_INITIALIZED|EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
    "|MPS (?:client|server)"
    "|nccl(?:UnhandledCuda|System|Internal|Remote)Error|NCCL communicator was aborted"
    "|CUDA driver error: (?!out of memory)",
    re.IGNORECASE,
)
# CUDA's answers to a single call, after which the process is as sound as before: torch's AcceleratorError is their class too.
SOUND = re.compile(
    "invalid argument|invalid configuration argument|invalid device ordinal|no kernel image|not supported|invalid resource "
    "handle|too many resources requested|captur",  # a stream's work for a CUDA graph
    re.IGNORECASE,
)


def is_memory(error: BaseException) -> bool:
    """Whether the exception says that host or GPU memory ran out."""
    return bool(_classes(error) & MEMORY_CLASSES) or (isinstance(error, RuntimeError) and _says(MEMORY, error))


def is_process_fault(error: BaseException) -> bool:
    """Whether the exception says that its process cannot compute any more: a dead CUDA context, a library's lost state."""
    if is_memory(error):
        return False
    if _classes(error) & FAULT_CLASSES:
        return "ProcessFault" in _classes(error) or not _says(SOUND, error)
    return isinstance(error, RuntimeError) and _says(FAULT, error)


@contextmanager
def explained() -> Iterator[None]:
    """Translates a library's exceptions into OutOfMemory and ProcessFault."""
    try:
        yield
    except (OutOfMemory, ProcessFault):
        raise
    except Exception as error:
        if is_memory(error):
            raise OutOfMemory(f"the configuration must fit into memory, but: {one_line(error)}") from error
        if is_process_fault(error):
            raise ProcessFault(f"the process must be able to use its device, but: {one_line(error)}") from error
        raise


def _classes(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _says(words: re.Pattern[str], error: BaseException) -> bool:
    return words.search(str(error)) is not None
