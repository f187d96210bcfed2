"""What libraries' exceptions mean: memory that ran out, a process that is lost, or a trial's own error."""

from __future__ import annotations

import pytest
import torch

from hpo.worker.training import Training
from trainables import faults
from trainables.errors import OutOfMemory, ProcessFault

TOLD = """
Search for `{}' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Device-side assertions were explicitly omitted for this error check; the error probably arose while initializing the DSA \
handlers."""


def told(what: str, name: str) -> torch.AcceleratorError:
    """What torch raises for a call of the CUDA runtime that answered with the error `name`."""
    return torch.AcceleratorError(f"CUDA error: {what}{TOLD.format(name)}")


MEMORY = [
    MemoryError(),
    OutOfMemory("the configuration must fit"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: out of memory"),
    told("out of memory", "cudaErrorMemoryAllocation"),
    torch.cuda.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.19 GiB"
    ),
    torch.OutOfMemoryError("Allocation on device 0 would exceed allowed memory. (out of memory)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("CUDA driver error: out of memory"),
]
FAULTS = [
    ProcessFault("the process must be able to use its device"),
    told("an illegal memory access was encountered", "cudaErrorIllegalAddress"),
    told("device-side assert triggered", "cudaErrorAssert"),
    told("unspecified launch failure", "cudaErrorLaunchFailure"),
    told("unknown error", "cudaErrorUnknown"),
    RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported later"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: initialization error"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError(
        "NCCL error in: ProcessGroupNCCL.cpp:3384, unhandled cuda error, ncclUnhandledCudaError: Call to CUDA"
    ),
    RuntimeError("NCCL communicator was aborted on rank 1."),
    RuntimeError(
        "Unexpected error from cudaGetDeviceCount(). Error 807: the MPS server is not ready to accept new MPS client"
    ),
    RuntimeError("CUDA error: the remote procedural call between the MPS server and the MPS client failed"),
]
NEITHER = [
    ValueError("device-side assert triggered"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    RuntimeError("Expected more than 1 value per channel when training"),
    told("invalid argument", "cudaErrorInvalidValue"),
    told("no kernel image is available for execution on the device", "cudaErrorNoKernelImageForDevice"),
    told("operation not permitted when stream is capturing", "cudaErrorStreamCaptureUnsupported"),
    told("operation failed due to a previous error during capture", "cudaErrorStreamCaptureInvalidated"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
    KeyError("attn_mask"),
]


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def kind(error: BaseException) -> tuple[bool, bool]:
    return faults.is_memory(error), faults.is_process_fault(error)


@pytest.mark.parametrize("error", MEMORY, ids=first_line)
def test_memory_that_ran_out(error: Exception) -> None:
    assert kind(error) == (True, False)
    with pytest.raises(OutOfMemory), faults.explained():
        raise error


@pytest.mark.parametrize("error", FAULTS, ids=first_line)
def test_a_process_that_is_lost(error: Exception) -> None:
    assert kind(error) == (False, True)
    with pytest.raises(ProcessFault), faults.explained():
        raise error


@pytest.mark.parametrize("error", NEITHER, ids=first_line)
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    assert kind(error) == (False, False)
    with pytest.raises(type(error)) as raised, faults.explained():
        raise error
    assert raised.value is error


def test_torch_has_the_classes_that_are_known_by_name() -> None:
    assert faults.MEMORY_CLASSES & {torch.OutOfMemoryError.__name__}
    assert {torch.AcceleratorError.__name__, torch.distributed.DistBackendError.__name__} <= faults.FAULT_CLASSES


def test_a_lost_process_is_asked_to_free_nothing(tmp_path, assignment_of) -> None:
    closed = []

    class Lost:
        def __init__(self, config, *, task, seed, max_epochs):
            self.epoch = 0

        def train_epoch(self):
            if self.epoch == 2:
                raise FAULTS[2]
            self.epoch += 1
            return {"val_accuracy": 0.5}

        def save(self, directory):
            pass

        def close(self):
            closed.append(self)

    training = Training(assignment_of(tmp_path), make=lambda name, given: Lost(given.pop("config"), **given))
    report = training.step()
    assert report.failure is not None
    assert (report.failure["kind"], report.failure["epoch"], len(report.records)) == ("process", 2, 2)
    assert not closed


@pytest.fixture
def assignment_of():
    from hpo.worker.training import Assignment

    task = {"trainable": "curves", "data": {}, "model": {}, "fixed": {}, "early_stopping": None}

    def make(folder):
        return Assignment(
            trial="0123456789abcdef",
            config={},
            task=task,
            seed=1,
            max_epochs=8,
            stop=4,
            known=0,
            checkpoints=str(folder),
        )

    return make
