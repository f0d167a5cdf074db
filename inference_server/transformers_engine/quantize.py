"""4- and 8-bit weights by bitsandbytes, where it can run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_server.errors import OptionsInvalid

if TYPE_CHECKING:
    from inference_server.options import Dtype, ServerOptions
    from inference_server.transformers_engine.folder import WeightFiles


def quantization(
    options: ServerOptions, files: WeightFiles, dtype: Dtype, *, gpus: int
) -> tuple[dict[str, Any], str]:
    """Return what the library's from_pretrained() is given, and a sentence about it; both empty for none.

    Args:
        options: with the quantization that was asked for.
        files: the weights; GGUF is quantized already and is unpacked.
        dtype: in which the matrices are multiplied, once unpacked.
        gpus: how many the model is loaded on; 0: the CPU.

    Raises:
        OptionsInvalid: this combination does not exist.
    """
    wanted = options.quantization
    if files.form == "gguf":
        return _unpacked(wanted)
    if wanted == "none":
        return {}, ""
    if options.world_size > 1:
        raise OptionsInvalid("a model that is divided among processes cannot be quantized; leave it out")
    if not gpus and wanted == "8bit":
        if options.simulated_gpus:
            return {}, "not quantized: the GPUs are simulated, and there is no int8 on a CPU"
        raise OptionsInvalid(
            "there is no int8 on a CPU; use --quantization 4bit, or an instanceType with a GPU for 8bit"
        )
    import torch
    from transformers import BitsAndBytesConfig

    if wanted == "8bit":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}, "weights in 8 bits"
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    return {"quantization_config": config}, f"weights in 4 bits (NF4), multiplied in {dtype}"


def _unpacked(wanted: str) -> tuple[dict[str, Any], str]:
    """Unpack GGUF at loading: adapters need whole matrices, and its kernels would come from the network."""
    if wanted != "none":
        raise OptionsInvalid("GGUF weights are quantized already; leave --quantization out")
    from transformers import GgufConfig

    config = GgufConfig(dequantize=True)
    return {"quantization_config": config}, "GGUF weights, unpacked: they take the memory of the whole type"
