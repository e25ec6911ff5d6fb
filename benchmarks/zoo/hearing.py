"""Audio transformers of the package transformers, in small random configurations."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from .hugging_face import SMALL, VOCABULARY, hugging_face
from .registry import Inputs, Kind
from .signals import audio, tokens


def wave(kind: Kind) -> Inputs:
    """A third of a second at 16 kHz."""
    return Inputs(kwargs={"input_values": audio(kind, 1, 5000)})


def spectrogram(kind: Kind) -> Inputs:
    """Log-mel features ``[1, 80, 100]``."""
    return Inputs(kwargs={"input_features": audio(kind, 1, 80, 100)})


def transcript(kind: Kind) -> Inputs:
    """Log-mel features and the start of a transcript."""
    return Inputs(
        kwargs={
            "input_features": audio(kind, 1, 80, 100),
            "decoder_input_ids": tokens(kind, 6, VOCABULARY),
        }
    )


def transcript_step(kind: Kind) -> Inputs:
    """The start of a transcript beside an encoder's states."""
    states = torch.randn(1, 50, 64, generator=torch.Generator().manual_seed(4))
    return Inputs(
        kwargs={"input_ids": tokens(kind, 6, VOCABULARY), "encoder_hidden_states": states}
    )


def patches(kind: Kind) -> Inputs:
    """A spectrogram ``[1, 64, 32]`` as time by frequency."""
    return Inputs(kwargs={"input_values": audio(kind, 1, 64, 32)})


_WHISPER: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_source_positions": 50,
    "max_target_positions": 20,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "decoder_start_token_id": 4,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
_WAVE: dict[str, Any] = {
    **SMALL,
    "conv_dim": [32, 32, 32],
    "conv_stride": [5, 2, 2],
    "conv_kernel": [10, 3, 3],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
    "apply_spec_augment": False,
}
_audio = partial(hugging_face, group="audio")

MODELS = [
    _audio(
        "whisper_encoder", "WhisperModel", "WhisperConfig", spectrogram, part="encoder", **_WHISPER
    ),
    _audio("whisper", "WhisperModel", "WhisperConfig", transcript, extra=True, **_WHISPER),
    _audio(
        "whisper_decoder", "WhisperModel", "WhisperConfig", transcript_step, part="decoder",
        extra=True, **_WHISPER,
    ),
    _audio("wav2vec2", "Wav2Vec2ForCTC", "Wav2Vec2Config", wave, extra=True, **_WAVE),
    _audio(
        "wav2vec2_layer_norm", "Wav2Vec2ForCTC", "Wav2Vec2Config", wave, extra=True,
        **_WAVE, feat_extract_norm="layer", do_stable_layer_norm=True,
    ),
    _audio("hubert", "HubertModel", "HubertConfig", wave, extra=True, **_WAVE),
    _audio("wavlm", "WavLMModel", "WavLMConfig", wave, extra=True, **_WAVE),
    _audio(
        "audio_spectrogram", "ASTModel", "ASTConfig", patches, extra=True,
        **SMALL, num_mel_bins=32, max_length=64, patch_size=16,
    ),
    _audio(
        "encodec_encoder", "EncodecModel", "EncodecConfig",
        lambda kind: Inputs(args=(audio(kind, 1, 1, 3200),)), part="encoder", extra=True,
        num_filters=8, upsampling_ratios=[4, 2], hidden_size=32, num_residual_layers=1,
    ),
    _audio(
        "vits_text", "VitsModel", "VitsConfig",
        lambda kind: Inputs(
            kwargs={"input_ids": tokens(kind, 16, 40), "padding_mask": torch.ones(1, 16, 1)}
        ),
        part="text_encoder", extra=True,
        vocab_size=40, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, ffn_dim=128,
        flow_size=64,
    ),
]  # fmt: skip
