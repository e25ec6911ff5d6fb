"""torchscript → mobile: the lite interpreter's flatbuffer."""

from __future__ import annotations

from ..formats import MOBILE, TORCHSCRIPT
from ..hop import Hop, HopResult, HopTask, register_hop
from ..layers import Absence, LayerMap, Place
from ..outcome import Stage
from ..quiet import quiet_torch
from ..worker import IN_PROCESS


def convert(task: HopTask) -> HopResult:
    """Write a TorchScript module in the flatbuffer form of the lite interpreter (PTMF)."""
    import torch

    assert task.source is not None
    task.enter(Stage.LOAD)
    module = task.live
    if module is None:
        module = torch.jit.load(task.source.path)  # type: ignore[no-untyped-call]
    task.enter(Stage.SERIALIZE)
    with quiet_torch():  # that the lite interpreter is deprecated is said in the documentation
        content = module._save_to_buffer_for_lite_interpreter(_use_flatbuffer=True)
    task.out.write_bytes(content)
    opaque = Place(absence=Absence.OPAQUE, detail="the lite interpreter shows no inner tensors")
    return HopResult(
        signature=task.source.signature,
        layer_map=LayerMap(places=dict.fromkeys(task.source.layer_map.places, opaque)),
        producer_version=torch.__version__,
    )


register_hop(
    Hop(
        name="lite-interpreter",
        title="PyTorch Mobile flatbuffer",
        source=TORCHSCRIPT,
        target=MOBILE,
        convert=convert,
        cost=0.5,
        place=IN_PROCESS,
        packages=("torch",),
        script="""
import torch

torch.jit.load(source)._save_to_buffer_for_lite_interpreter(_use_flatbuffer=True)
""",
    )
)
