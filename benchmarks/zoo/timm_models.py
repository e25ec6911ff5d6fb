"""A broad sample of timm's architectures: the smallest variant of each family."""

from __future__ import annotations

from functools import partial

import torch

from .registry import Group, Inputs, Kind, Model
from .signals import image
from .torchvision_operators import prepare_torchvision

CNNS = (
    "resnet18d", "resnetv2_50", "regnetx_002", "efficientnet_lite0", "tf_efficientnetv2_b0",
    "mobilenetv4_conv_small", "ghostnet_100", "hrnet_w18_small", "res2net50_26w_4s", "resnest14d",
    "convnextv2_atto", "fastvit_t8", "repvit_m0_9", "inception_next_atto", "tinynet_e",
    "mobileone_s0", "repvgg_a0", "hardcorenas_a", "lcnet_050", "dla46_c", "cs3darknet_s",
    "nfnet_l0", "starnet_s1", "hgnetv2_b0", "ese_vovnet19b_dw", "selecsls42", "dpn48b",
)  # fmt: skip
TRANSFORMERS = (
    "edgenext_xx_small", "levit_128s", "coat_lite_tiny", "mixer_s32_224", "gmlp_ti16_224",
    "poolformer_s12", "swin_tiny_patch4_window7_224", "xcit_nano_12_p16_224", "cait_xxs24_224",
    "deit_tiny_patch16_224", "beit_base_patch16_224", "eva02_tiny_patch14_224", "davit_tiny",
    "nest_tiny", "twins_svt_small", "pvt_v2_b0", "volo_d1_224", "visformer_tiny",
    "efficientformer_l1", "efficientvit_b0", "caformer_s18", "sequencer2d_s", "tiny_vit_5m_224",
)  # fmt: skip
EXTRA_CNNS = (
    "ghostnetv2_100", "ghostnetv3_050", "rexnet_100", "cspresnet50", "skresnet18", "fbnetv3_b",
    "mixnet_s", "semnasnet_050", "xception41", "inception_resnet_v2", "tresnet_m",
    "convmixer_768_32", "resnext26ts", "eca_resnet33ts", "gcresnext26ts", "mambaout_femto",
    "legacy_seresnext26_32x4d", "efficientnet_es", "mobilenetv4_hybrid_medium", "resnetaa50",
    "resnetblur50", "densenetblur121d", "ecaresnet26t", "hgnet_tiny", "lcnetv2_base", "vovnet39a",
    "nf_resnet50", "seresnext26d_32x4d",
)  # fmt: skip
EXTRA_TRANSFORMERS = (
    "efficientformerv2_s0", "efficientvit_m0", "shvit_s1", "crossvit_9_240", "convit_tiny",
    "gcvit_xxtiny", "coatnet_nano_rw_224", "maxvit_pico_rw_256", "resmlp_12_224", "pit_ti_224",
    "halonet26t", "lambda_resnet26t", "botnet26t_256", "bat_resnext26ts", "focalnet_tiny_srf",
    "hiera_tiny_224", "mobilevit_xxs", "mobilevitv2_050", "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_ns_224", "deit3_small_patch16_224", "vit_tiny_patch16_224",
    "vit_small_patch16_dinov3", "vit_relpos_small_patch16_224", "tnt_s_legacy_patch16_224",
    "coat_tiny", "twins_pcpvt_small", "mvitv2_tiny", "nextvit_small", "rdnet_tiny",
    "efficientvit_l1", "beit3_base_patch16_224", "convformer_s18", "flexivit_small",
)  # fmt: skip


def build(name: str) -> torch.nn.Module:
    """Build a model of timm with random weights."""
    prepare_torchvision()
    import timm

    return timm.create_model(name, pretrained=False)  # type: ignore[no-any-return]


def inputs(name: str, kind: Kind) -> Inputs:
    """One colour image of the size that a model is meant for."""
    prepare_torchvision()
    import timm

    size = (timm.get_pretrained_cfg(name, allow_unregistered=True) or _Default).input_size
    return Inputs(args=(image(kind, 1, *size),))


class _Default:
    input_size = (3, 224, 224)


def _model(name: str, group: Group, *, extra: bool = False) -> Model:
    return Model(
        name=f"timm.{name}",
        group=group,
        source="timm",
        build=partial(build, name),
        inputs=partial(inputs, name),
        packages=("timm", "torchvision"),
        extra=extra,
    )


MODELS = [
    *(_model(name, "cnn") for name in CNNS),
    *(_model(name, "transformer") for name in TRANSFORMERS),
    *(_model(name, "cnn", extra=True) for name in EXTRA_CNNS),
    *(_model(name, "transformer", extra=True) for name in EXTRA_TRANSFORMERS),
]
