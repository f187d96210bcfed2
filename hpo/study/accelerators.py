"""The types of accelerators that Ray knows by name: a node with one has the resource `accelerator_type:NAME`. Pure."""

from __future__ import annotations

from hpo.text import meant, shown

NAMES = (
    "H100", "H200", "A100", "A100-40G", "A100-80G", "B200", "B300", "GB200", "GB300", "H20", "L4", "L40S", "A10G", "T4",
    "V100", "P100", "P4", "K80", "RTX-PRO-6000", "Intel-GPU-Max-1550", "Intel-GPU-Max-1100", "Intel-GAUDI",
    "AMD-Instinct-MI100", "AMD-Instinct-MI210", "AMD-Instinct-MI250X", "AMD-Instinct-MI250X-MI250", "AMD-Instinct-MI300A",
    "AMD-Instinct-MI300X-OAM", "AMD-Instinct-MI300X-HF", "AMD-Instinct-MI308X", "AMD-Instinct-MI325X-OAM",
    "AMD-Instinct-MI350X-OAM", "AMD-Instinct-MI355X-OAM", "AMD-Radeon-R9-200-HD-7900", "AMD-Radeon-HD-7900",
    "aws-neuron-core", "TPU-V2", "TPU-V3", "TPU-V4", "TPU-V5P", "TPU-V5LITEPOD", "TPU-V6E", "TPU-V7X", "Ascend910B",
    "Ascend910B4", "MXC500", "MXC550", "FURIOSA_RNGD", "M1", "M1-Pro", "M1-Max", "M1-Ultra", "M2", "M2-Pro", "M2-Max",
    "M2-Ultra", "M3", "M3-Pro", "M3-Max", "Apple-Silicon", "MOBILINT_ARIES", "MOBILINT_REGULUS",
)  # fmt: skip
SHARE = 0.001  # of a node's accelerator_type:NAME, as Ray's own option `accelerator_type` requests it


def resource(name: str) -> str:
    """Returns the resource of the nodes with this accelerator."""
    return f"accelerator_type:{name}"


def unknown(name: str) -> str:
    """Says that Ray knows no such type, which one was probably meant, and how to ask for one that Ray does not list."""
    same = [known for known in NAMES if known.lower() == name.lower()]
    hint = meant(name, same or NAMES, 0.0 if same else 0.6) or f"; valid: {', '.join(NAMES[:13])} and others"
    return (
        f"accelerator must be a type that Ray knows, but got {shown(name)}{hint} "
        f'(for a type of your cluster\'s own: custom: {{"{resource("TYPE")}": {SHARE}}})'
    )
