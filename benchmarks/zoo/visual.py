"""Vision transformers of the package transformers, in small random configurations."""

from __future__ import annotations

from functools import partial
from typing import Any

from .hugging_face import SMALL, hugging_face
from .registry import Inputs, Kind
from .signals import image, mask, tokens


def pixels(size: int, kind: Kind) -> Inputs:
    """One colour image, by the name that these models give it."""
    return Inputs(kwargs={"pixel_values": image(kind, 1, 3, size, size)})


def image_and_text(kind: Kind) -> Inputs:
    """An image and a caption."""
    return Inputs(
        kwargs={
            "input_ids": tokens(kind, 16, 500),
            "pixel_values": image(kind, 1, 3, 64, 64),
            "attention_mask": mask(kind, 16),
        }
    )


_64 = partial(pixels, 64)
_PATCHES: dict[str, Any] = {**SMALL, "image_size": 64, "patch_size": 16}
_FOUR_STAGES: dict[str, Any] = {"depths": [1, 1, 1, 1], "image_size": 64}

MODELS = [
    hugging_face("hf_vit", "ViTForImageClassification", "ViTConfig", _64, **_PATCHES),
    hugging_face("clip_vision", "CLIPVisionModel", "CLIPVisionConfig", _64, **_PATCHES),
    hugging_face(
        "segformer", "SegformerForSemanticSegmentation", "SegformerConfig", _64,
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 48, 64], num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=64, num_labels=19,
    ),
    hugging_face("hf_deit", "DeiTModel", "DeiTConfig", _64, extra=True, **_PATCHES),
    hugging_face(
        "hf_beit", "BeitModel", "BeitConfig", _64, extra=True,
        **_PATCHES, use_relative_position_bias=True,
    ),
    hugging_face(
        "dinov2", "Dinov2Model", "Dinov2Config", _64, extra=True, **SMALL, image_size=56,
        patch_size=8,
    ),
    hugging_face(
        "dinov2_registers", "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", _64,
        extra=True, **SMALL, image_size=64, patch_size=8,
    ),
    hugging_face(
        "hf_convnextv2", "ConvNextV2Model", "ConvNextV2Config", _64, extra=True,
        **_FOUR_STAGES, hidden_sizes=[16, 32, 48, 64],
    ),
    hugging_face(
        "mobilevit", "MobileViTForImageClassification", "MobileViTConfig", partial(pixels, 128),
        extra=True, image_size=128, hidden_sizes=[32, 48, 64],
        neck_hidden_sizes=[16, 24, 32, 48, 64, 80, 128],
    ),
    hugging_face(
        "mobilevitv2", "MobileViTV2Model", "MobileViTV2Config", partial(pixels, 128), extra=True,
        image_size=128, base_attn_unit_dims=[32, 48, 64], width_multiplier=0.5,
    ),
    hugging_face(
        "hf_swin", "SwinModel", "SwinConfig", _64, extra=True,
        image_size=64, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4,
    ),
    hugging_face(
        "hf_swinv2", "Swinv2Model", "Swinv2Config", _64, extra=True,
        image_size=64, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4,
    ),
    hugging_face(
        "detr", "DetrForObjectDetection", "DetrConfig", _64, extra=True,
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_queries=10,
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
        backbone_config={
            "model_type": "resnet", "embedding_size": 16, "hidden_sizes": [16, 32, 48, 64],
            "depths": [1, 1, 1, 1], "out_features": ["stage4"],
        },
    ),
    hugging_face(
        "yolos", "YolosForObjectDetection", "YolosConfig", _64, extra=True,
        **SMALL, image_size=[64, 64], patch_size=16, num_detection_tokens=10,
    ),
    hugging_face(
        "dpt", "DPTForDepthEstimation", "DPTConfig", _64, extra=True,
        **{**_PATCHES, "num_hidden_layers": 4}, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 32, 48, 64], fusion_hidden_size=32, is_hybrid=False,
    ),
    hugging_face(
        "depth_anything", "DepthAnythingForDepthEstimation", "DepthAnythingConfig",
        partial(pixels, 56), extra=True,
        backbone_config={
            "model_type": "dinov2", **SMALL, "num_hidden_layers": 4, "image_size": 56,
            "patch_size": 14, "out_indices": [1, 2, 3, 4], "reshape_hidden_states": False,
            "apply_layernorm": True,
        },
        reassemble_hidden_size=64, neck_hidden_sizes=[16, 24, 32, 48], fusion_hidden_size=32,
        head_in_index=-1, patch_size=14,
    ),
    hugging_face(
        "sam_vision", "SamVisionModel", "SamVisionConfig", _64, extra=True,
        hidden_size=64, output_channels=32, num_hidden_layers=2, num_attention_heads=4,
        image_size=64, patch_size=8, window_size=4, global_attn_indexes=[1], mlp_dim=128,
    ),
    hugging_face(
        "siglip_vision", "SiglipVisionModel", "SiglipVisionConfig", _64, extra=True, **_PATCHES
    ),
    hugging_face(
        "clip", "CLIPModel", "CLIPConfig", image_and_text, extra=True,
        text_config={**SMALL, "vocab_size": 500, "max_position_embeddings": 32, "eos_token_id": 2},
        vision_config=_PATCHES, projection_dim=32,
    ),
    hugging_face(
        "hf_levit", "LevitModel", "LevitConfig", _64, extra=True,
        image_size=64, hidden_sizes=[32, 48, 64], num_attention_heads=[2, 3, 4], depths=[1, 1, 1],
        key_dim=[8, 8, 8], drop_path_rate=0,
    ),
    hugging_face(
        "pvt_v2", "PvtV2Model", "PvtV2Config", _64, extra=True,
        image_size=64, depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 48, 64],
        num_attention_heads=[1, 2, 3, 4],
    ),
    hugging_face(
        "glpn", "GLPNForDepthEstimation", "GLPNConfig", _64, extra=True,
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 48, 64], num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
    ),
    hugging_face(
        "upernet_convnext", "UperNetForSemanticSegmentation", "UperNetConfig", _64, extra=True,
        backbone_config={
            "model_type": "convnext", "depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64],
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        hidden_size=32, num_labels=19, use_auxiliary_head=False,
    ),
    hugging_face(
        "swin2sr", "Swin2SRForImageSuperResolution", "Swin2SRConfig", partial(pixels, 32),
        extra=True, image_size=32, embed_dim=24, depths=[2], num_heads=[2], window_size=8,
        upscale=2,
    ),
]  # fmt: skip
