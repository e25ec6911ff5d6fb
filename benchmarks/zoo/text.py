"""Language models in small random configurations: encoders, decoders without cache, both."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from .hugging_face import LENGTH, TEXT, VOCABULARY, hugging_face
from .registry import Inputs, Kind
from .signals import mask, text, tokens

_text = partial(text, length=LENGTH, vocabulary=VOCABULARY)
_unmasked = partial(text, length=LENGTH, vocabulary=VOCABULARY, masked=False)
# Few enough rows for two experts each that PyTorch's sort, which need not be stable, happens to be.
_short = partial(text, length=8, vocabulary=VOCABULARY)
_GROUPED: dict[str, Any] = {**TEXT, "num_key_value_heads": 2, "pad_token_id": 1}
_T5: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
}
_BART: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_position_embeddings": 64,
}


def both(kind: Kind) -> Inputs:
    """A source, and the start of a target."""
    return Inputs(
        kwargs={
            "input_ids": tokens(kind, LENGTH, VOCABULARY),
            "attention_mask": mask(kind, LENGTH),
            "decoder_input_ids": tokens("random", 5, VOCABULARY, seed=1),
        }
    )


def decoder_step(kind: Kind) -> Inputs:
    """One target token beside an encoder's states, as a decoding loop gives them."""
    states = torch.randn(1, LENGTH, 64, generator=torch.Generator().manual_seed(2))
    return Inputs(
        kwargs={
            "input_ids": tokens("random", 1, VOCABULARY, seed=3),
            "encoder_hidden_states": states,
            "encoder_attention_mask": mask(kind, LENGTH),
        }
    )


MODELS = [
    hugging_face("bert", "BertModel", "BertConfig", _text, **TEXT),
    hugging_face(
        "distilbert", "DistilBertForSequenceClassification", "DistilBertConfig", _text,
        dim=64, n_layers=2, n_heads=4, hidden_dim=128, vocab_size=VOCABULARY,
        max_position_embeddings=64,
    ),
    hugging_face(
        "gpt2", "GPT2LMHeadModel", "GPT2Config", _text,
        n_embd=64, n_layer=2, n_head=4, vocab_size=VOCABULARY, n_positions=64,
    ),
    hugging_face("t5_encoder", "T5EncoderModel", "T5Config", _text, **_T5),
    hugging_face("llama", "LlamaForCausalLM", "LlamaConfig", _text, **_GROUPED),
    hugging_face(
        "bert_eager", "BertForSequenceClassification", "BertConfig", _text, extra=True,
        **TEXT, attn_implementation="eager",
    ),
    hugging_face("roberta", "RobertaModel", "RobertaConfig", _text, extra=True, **TEXT),
    hugging_face(
        "albert", "AlbertModel", "AlbertConfig", _text, extra=True, **TEXT, embedding_size=32
    ),
    hugging_face(
        "electra", "ElectraModel", "ElectraConfig", _text, extra=True, **TEXT, embedding_size=32
    ),
    hugging_face(
        "mobilebert", "MobileBertModel", "MobileBertConfig", _text, extra=True,
        **TEXT, intra_bottleneck_size=32, embedding_size=32, true_hidden_size=32,
    ),
    hugging_face(
        "xlm", "XLMModel", "XLMConfig", _text, extra=True,
        vocab_size=VOCABULARY, emb_dim=64, n_layers=2, n_heads=4, max_position_embeddings=64,
        dropout=0.0, attention_dropout=0.0,
    ),
    hugging_face(
        "deberta_v2", "DebertaV2Model", "DebertaV2Config", _text, extra=True,
        **TEXT, relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], max_relative_positions=-1,
    ),
    hugging_face("qwen2", "Qwen2ForCausalLM", "Qwen2Config", _text, extra=True, **_GROUPED),
    hugging_face("qwen3", "Qwen3ForCausalLM", "Qwen3Config", _text, extra=True,
                 **_GROUPED, head_dim=16),
    hugging_face(
        "mistral", "MistralForCausalLM", "MistralConfig", _text, extra=True,
        **_GROUPED, sliding_window=8,
    ),
    hugging_face(
        "mixtral", "MixtralForCausalLM", "MixtralConfig", _short, extra=True,
        **_GROUPED, num_local_experts=4, num_experts_per_tok=2,
    ),
    hugging_face("gemma", "GemmaForCausalLM", "GemmaConfig", _text, extra=True,
                 **_GROUPED, head_dim=16),
    hugging_face("gemma2", "Gemma2ForCausalLM", "Gemma2Config", _text, extra=True,
                 **_GROUPED, head_dim=16, sliding_window=8),
    hugging_face("gpt_neox", "GPTNeoXForCausalLM", "GPTNeoXConfig", _text, extra=True, **TEXT),
    hugging_face(
        "opt", "OPTForCausalLM", "OPTConfig", _text, extra=True,
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        ffn_dim=128, max_position_embeddings=64, word_embed_proj_dim=32,
    ),
    hugging_face("phi", "PhiForCausalLM", "PhiConfig", _text, extra=True, **TEXT),
    hugging_face("phi3", "Phi3ForCausalLM", "Phi3Config", _text, extra=True, **_GROUPED),
    hugging_face(
        "falcon", "FalconForCausalLM", "FalconConfig", _text, extra=True,
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        alibi=False, new_decoder_architecture=False,
    ),
    hugging_face(
        "bloom", "BloomForCausalLM", "BloomConfig", _text, extra=True,
        vocab_size=VOCABULARY, hidden_size=64, n_layer=2, n_head=4,
    ),
    hugging_face(
        "bart_encoder", "BartModel", "BartConfig", _text, part="encoder", extra=True, **_BART
    ),
    hugging_face("bart", "BartModel", "BartConfig", both, extra=True, **_BART),
    hugging_face("marian", "MarianModel", "MarianConfig", both, extra=True,
                 **_BART, pad_token_id=1, decoder_start_token_id=1),
    hugging_face("t5", "T5ForConditionalGeneration", "T5Config", both, extra=True, **_T5),
    hugging_face(
        "t5_decoder_step", "T5Model", "T5Config", decoder_step, part="decoder", extra=True, **_T5
    ),
    hugging_face(
        "clip_text", "CLIPTextModel", "CLIPTextConfig", _text, extra=True, **TEXT, eos_token_id=2
    ),
    hugging_face(
        "mpnet", "MPNetModel", "MPNetConfig", _text, extra=True, **TEXT
    ),
    hugging_face(
        "funnel", "FunnelModel", "FunnelConfig", _text, extra=True,
        vocab_size=VOCABULARY, block_sizes=[1, 1], d_model=64, n_head=4, d_head=16, d_inner=128,
        num_decoder_layers=1,
    ),
    hugging_face(
        "squeezebert", "SqueezeBertModel", "SqueezeBertConfig", _text, extra=True,
        **TEXT, embedding_size=64,
    ),
    hugging_face(
        "fnet", "FNetModel", "FNetConfig", _unmasked, extra=True,
        **{key: value for key, value in TEXT.items() if "heads" not in key},
    ),
    hugging_face("modernbert", "ModernBertModel", "ModernBertConfig", _text, extra=True,
                 **TEXT, pad_token_id=1, global_attn_every_n_layers=2, local_attention=8),
    hugging_face(
        "mamba", "MambaModel", "MambaConfig", _unmasked, group="recurrent", extra=True,
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, state_size=8,
    ),
]  # fmt: skip
