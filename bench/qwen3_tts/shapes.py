"""The shapes of Qwen3-TTS-12Hz-0.6B-CustomVoice (hidden 1024, 28 + 5 layers): its configuration and its tensors, for programs that
write them with random weights. `talker` and `codec` take a writer with add(name, shape, scale=None), linear(path, out, in, zero=None)
and ones(name, n); without a scale it is in ** -0.5, and a row `zero` of a linear layer is zeros."""
import json
import pathlib

TINY = pathlib.Path(__file__).resolve().parents[2] / "tests/data/qwen3_tts/checkpoints/base"


def talker_config():
    layer = {"head_dim": 128, "num_attention_heads": 16, "num_key_value_heads": 8, "hidden_size": 1024,
             "intermediate_size": 3072, "rms_norm_eps": 1e-6, "rope_theta": 1000000, "num_code_groups": 16}
    return {**layer, "num_hidden_layers": 28, "vocab_size": 3072, "text_vocab_size": 151936, "text_hidden_size": 2048,
            "max_position_embeddings": 32768,
            "rope_scaling": {"interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default", "type": "default"},
            "codec_bos_id": 2149, "codec_eos_token_id": 2150, "codec_pad_id": 2148,
            "codec_think_id": 2154, "codec_nothink_id": 2155, "codec_think_bos_id": 2156, "codec_think_eos_id": 2157,
            "codec_language_id": {"english": 2050}, "spk_id": {"vivian": 3065}, "spk_is_dialect": {"vivian": False},
            "code_predictor_config": {**layer, "num_hidden_layers": 5, "vocab_size": 2048}}


def codec_config():
    tiny = json.loads((TINY / "speech_tokenizer/config.json").read_text())
    tiny["decoder_config"].update(
        latent_dim=1024, codebook_dim=512, codebook_size=2048, decoder_dim=1536, hidden_size=512, intermediate_size=1024,
        head_dim=64, num_attention_heads=16, num_key_value_heads=16, num_hidden_layers=8, num_quantizers=16,
        sliding_window=72, upsample_rates=[8, 5, 4, 3], upsampling_ratios=[2, 2])
    tiny["encoder_config"]["num_quantizers"] = 16
    tiny["encoder_valid_num_quantizers"] = 16
    return tiny


def talker(m, c):
    p, hidden = c["code_predictor_config"], c["hidden_size"]
    m.add("talker.model.codec_embedding.weight", (c["vocab_size"], hidden), 0.5)
    m.add("talker.model.text_embedding.weight", (c["text_vocab_size"], c["text_hidden_size"]), 0.5)
    for name, out in (("linear_fc1", c["text_hidden_size"]), ("linear_fc2", hidden)):
        m.linear("talker.text_projection." + name, out, c["text_hidden_size"])
        m.add(f"talker.text_projection.{name}.bias", (out,), 0.01)
    # A logit of 0 is never among the 50 best of 2,049: no engine ends early.
    m.linear("talker.codec_head", c["vocab_size"], hidden, zero=c["codec_eos_token_id"])
    for prefix, d in (("talker.model", c), ("talker.code_predictor.model", p)):
        for i in range(d["num_hidden_layers"]):
            at = f"{prefix}.layers.{i}"
            width, q, kv = d["hidden_size"], d["num_attention_heads"] * 128, d["num_key_value_heads"] * 128
            for name, out, into in (("self_attn.q_proj", q, width), ("self_attn.k_proj", kv, width),
                                    ("self_attn.v_proj", kv, width), ("self_attn.o_proj", width, q),
                                    ("mlp.gate_proj", d["intermediate_size"], width),
                                    ("mlp.up_proj", d["intermediate_size"], width),
                                    ("mlp.down_proj", width, d["intermediate_size"])):
                m.linear(f"{at}.{name}", out, into)
            for name, n in (("self_attn.q_norm", 128), ("self_attn.k_norm", 128), ("input_layernorm", width),
                            ("post_attention_layernorm", width)):
                m.ones(f"{at}.{name}.weight", n)
        m.ones(prefix + ".norm.weight", d["hidden_size"])
    for i in range(15):
        m.add(f"talker.code_predictor.model.codec_embedding.{i}.weight", (p["vocab_size"], hidden), 0.1)
        m.linear(f"talker.code_predictor.lm_head.{i}", p["vocab_size"], p["hidden_size"])


def codec(m, d):
    """The decoder alone, without quantization."""
    def conv(path, out, into, kernel, bias=True):
        m.add(path + ".weight", (out, into, kernel))
        if bias:
            m.add(path + ".bias", (out,), 0.01)

    def linear(path, out, into, bias=False):
        m.add(path + ".weight", (out, into))
        if bias:
            m.add(path + ".bias", (out,), 0.01)

    half, latent, hidden, width = d["codebook_dim"] // 2, d["latent_dim"], d["hidden_size"], d["decoder_dim"]
    for part, count in (("rvq_first", 1), ("rvq_rest", 15)):
        at = "decoder.quantizer." + part
        m.add(at + ".input_proj.weight", (half, 2 * half, 1))
        m.add(at + ".output_proj.weight", (2 * half, half, 1))
        for i in range(count):
            m.add(f"{at}.vq.layers.{i}._codebook.embedding_sum", (d["codebook_size"], half), 0.3)
            m.ones(f"{at}.vq.layers.{i}._codebook.cluster_usage", d["codebook_size"])
    conv("decoder.pre_conv.conv", latent, 2 * half, 3)
    linear("decoder.pre_transformer.input_proj", hidden, latent, True)
    linear("decoder.pre_transformer.output_proj", latent, hidden, True)
    m.ones("decoder.pre_transformer.norm.weight", hidden)
    heads = d["num_attention_heads"] * d["head_dim"]
    for i in range(d["num_hidden_layers"]):
        at = f"decoder.pre_transformer.layers.{i}"
        for x in "qkv":
            linear(f"{at}.self_attn.{x}_proj", heads, hidden)
        linear(at + ".self_attn.o_proj", hidden, heads)
        for x, out, into in (("gate", d["intermediate_size"], hidden), ("up", d["intermediate_size"], hidden),
                             ("down", hidden, d["intermediate_size"])):
            linear(f"{at}.mlp.{x}_proj", out, into)
        for x in ("input_layernorm.weight", "post_attention_layernorm.weight", "self_attn_layer_scale.scale",
                  "mlp_layer_scale.scale"):
            m.ones(f"{at}.{x}", hidden)
    for i in range(2):
        at = f"decoder.upsample.{i}"
        m.add(at + ".0.conv.weight", (latent, latent, 2))
        m.add(at + ".0.conv.bias", (latent,), 0.01)
        conv(at + ".1.dwconv.conv", latent, 1, 7)
        m.ones(at + ".1.norm.weight", latent)
        m.add(at + ".1.norm.bias", (latent,), 0.01)
        linear(at + ".1.pwconv1", 4 * latent, latent, True)
        linear(at + ".1.pwconv2", latent, 4 * latent, True)
        m.ones(at + ".1.gamma", latent)
    conv("decoder.decoder.0.conv", width, latent, 7)
    for i, rate in enumerate(d["upsample_rates"]):
        at, into, out = f"decoder.decoder.{i + 1}.block", width >> i, width >> (i + 1)
        snakes = [(at + ".0", into)]
        m.add(at + ".1.conv.weight", (into, out, 2 * rate), (2 * into) ** -0.5)
        m.add(at + ".1.conv.bias", (out,), 0.01)
        for j in (2, 3, 4):
            snakes += [(f"{at}.{j}.act1", out), (f"{at}.{j}.act2", out)]
            conv(f"{at}.{j}.conv1.conv", out, out, 7)
            conv(f"{at}.{j}.conv2.conv", out, out, 1)
        for path, n in snakes:
            m.add(path + ".alpha", (n,), 0.1)
            m.add(path + ".beta", (n,), 0.1)
    last = width >> 4
    m.add("decoder.decoder.5.alpha", (last,), 0.1)
    m.add("decoder.decoder.5.beta", (last,), 0.1)
    m.add("decoder.decoder.6.conv.weight", (1, last, 7), 1e-4)
    m.add("decoder.decoder.6.conv.bias", (1,), 1e-4)
