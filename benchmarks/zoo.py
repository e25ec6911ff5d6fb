"""Models of torchvision for the benchmarks, with random weights that leave no layer dead."""

from __future__ import annotations

import torch

# torchvision has no CPU build everywhere; without its native library it still imports once the two
# operators that it wraps at import time are declared
_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def mobilenet_v2() -> tuple[torch.nn.Module, tuple[torch.Tensor]]:
    """Return MobileNetV2 with random statistics, and an image ``[1, 3, 224, 224]``."""
    from torchvision import models

    torch.manual_seed(0)
    module = models.mobilenet_v2(weights=None).eval()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return module, (torch.rand(1, 3, 224, 224),)
