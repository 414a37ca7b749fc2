"""Qwen's byte-level BPE beside PyPI `tokenizers`: token for token, from tokenizer.json and from vocab.json with merges.txt."""
import json
import random
import subprocess
import unicodedata

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from program import BUILD, ROOT, run

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
IM_START, IM_END = -1, -2

SCRIPTS = {
    "Latin": "The quick brown fox paid $12.50 — didn't it? L'été à Paris, Straße, İstanbul, Łódź, tiếng Việt",
    "Greek": "Η γρήγορη αλεπού πήδηξε πάνω από τον σκύλο· Ἐν ἀρχῇ ἦν ὁ λόγος", "Cyrillic": "Съешь же ещё этих мягких булок, їжак",
    "Armenian": "Բարեւ աշխարհ, ինչպե՞ս ես", "Georgian": "გამარჯობა მსოფლიო ႠႡႢ", "Hebrew": "שָׁלוֹם עולם, מה שלומך?",
    "Arabic": "مرحبًا بالعالم، ١٢٣ كيف حالك؟ ﷺ", "Syriac": "ܫܠܡܐ ܠܟܠܟܘܢ", "Thaana": "އައްސަލާމް", "N'Ko": "ߒߞߏ ߛߓߍ",
    "Devanagari": "नमस्ते दुनिया, क्षत्रिय १२३", "Bengali": "ওহে বিশ্ব, কেমন আছো? ৪৫", "Gurmukhi": "ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ ਦੁਨਿਆ",
    "Gujarati": "નમસ્તે વિશ્વ", "Oriya": "ନମସ୍କାର ଦୁନିଆ", "Tamil": "வணக்கம் உலகம் ௧௨", "Telugu": "హలో ప్రపంచం", "Kannada": "ನಮಸ್ಕಾರ ಜಗತ್ತು",
    "Malayalam": "നമസ്കാരം ലോകം", "Sinhala": "ආයුබෝවන් ලෝකය", "Thai": "สวัสดีชาวโลก ๑๒๓", "Lao": "ສະບາຍດີຊາວໂລກ", "Tibetan": "བཀྲ་ཤིས་བདེ་ལེགས།",
    "Myanmar": "မင်္ဂလာပါ ကမ္ဘာလောက", "Khmer": "សួស្តី​ពិភពលោក", "Ethiopic": "ሰላም ልዑል ፩፪፫", "Mongolian": "ᠰᠠᠢᠨ ᠪᠠᠶᠢᠨ᠎ᠠ", "Cherokee": "ᎣᏏᏲ ᎡᎶᎯ ꭳꮟᏺ",
    "Canadian": "ᐊᐃᓐᖓᐃ ᓄᓇᕐᔪᐊᖅ", "Hangul": "안녕하세요, 세계! 오늘은 27일 한글", "Kana": "こんにちは、世界！ｶﾞｷﾞ カタカナー々",
    "Han": "你好，世界！今天是2026年，天气很好。繁體字與𠮷野家", "Bopomofo": "ㄅㄆㄇㄈ ㄓㄨˋ", "Yi": "ꀊꁖꑌ", "Runic": "ᚠᛇᚻ᛫ᛒᛦᚦ", "Ogham": "᚛ᚑᚌᚐᚋ᚜",
    "Gothic": "𐌰𐍄𐍄𐌰 𐌿𐌽𐍃𐌰𐍂", "Cuneiform": "𒀭𒂗𒆤", "Hieroglyphs": "𓀀𓁐𓂝", "Braille": "⠓⠑⠇⠇⠕",
}
OTHERS = [
    "🙂🚀 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 👍🏽 ☎️ 1️⃣", "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β → ½ ⅓ ² ³ Ⅷ ①", "def f(x):\n\treturn {'a': [x**2, -1e-5]}  # ok\r\n\r\n",
    "#include <vector>\nint main() { std::vector<int> v{1,2,3}; return v[0] & ~0xFFu; }\n", "<html lang=\"en\">&nbsp;</html>\t\t\n \n  \n",
    "I'll we'RE they'Ve DON'T it'D 's 't", "a  b   c    d\t\te \n\n\n f", "   leading and trailing   ", "\r\n\r\n", " ", "\u00a0\u2003\u3000x\u200bx\u2028y\u2029z\u0085w",
    "e\u0301 o\u0308 n\u0303 \u1e9b\u0323 \u0344 \u212b \ufb01 \u1100\u1161\u11a8", "\u0301\u0301 lone marks \u0e31", "\ufffd\ufffd broken \ufffdtext",
    "\ue000\uf8ff\U000f0000 private", "\u202eright to left\u202c \u2066iso\u2069", "1234567890 3.14 1,000 12:30 ٣٤ ५६", "ｆｕｌｌｗｉｄｔｈ　１２３",
    "https://example.org/a?b=c&d=%20#e name@host.tld C:\\path\\file", "x" * 500, "ab" * 300 + "。" * 40, "…—–‘’“”«»„‚‹›¿¡§¶†‡•‰′″",
]


def random_texts(count):
    rng = random.Random(7)
    ranges = [(0x20, 0x7e), (0xa0, 0x24f), (0x370, 0x5ff), (0x600, 0x6ff), (0x900, 0xdff), (0xe00, 0x11ff), (0x1e00, 0x2bff),
              (0x3000, 0x4dbf), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xffef), (0x10000, 0x10fff), (0x1f300, 0x1faff)]
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 40)):
            low, high = rng.choice(ranges)
            c = chr(rng.randint(low, high))
            if unicodedata.category(c) not in ("Cn", "Cs"):
                text += rng.choice(["", "", "", " ", "\n", "'s"]) + c
        yield text


CORPUS = list(SCRIPTS.values()) + OTHERS + list(random_texts(1500))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=4000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(list(SCRIPTS.values()) * 3 + OTHERS, trainer)
    whole = tmp_path_factory.mktemp("json")
    tokenizer.save(str(whole / "tokenizer.json"))
    parts = tmp_path_factory.mktemp("parts")
    tokenizer.model.save(str(parts))
    return tokenizer, {"tokenizer.json": whole, "vocab.json and merges.txt": parts}


def test_corpus_is_wide():
    assert len(SCRIPTS) >= 20


@pytest.mark.parametrize("form", ["tokenizer.json", "vocab.json and merges.txt"])
def test_ids_are_those_of_tokenizers(trained, form):
    tokenizer, folders = trained
    lines = "".join(json.dumps(text) + "\n" for text in CORPUS)
    done = subprocess.run([str(BUILD / "tests" / "qwen_bpe_ids"), str(folders[form])], input=lines.encode(),
                          capture_output=True, check=True, timeout=120)
    ours = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ours) == len(CORPUS)
    newline = tokenizer.encode("\n").ids
    for text, ids in zip(CORPUS, ours):
        assert ids == [IM_START, *tokenizer.encode("assistant\n" + text).ids, IM_END, *newline], repr(text)


@pytest.mark.parametrize("data", [b"a\xffb", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"ok\x00"])
def test_bytes_that_are_no_text_are_refused(data):
    model = ROOT / "tests" / "data" / "qwen3_tts" / "checkpoints" / "custom_voice_q4"
    done = run("tts", "-m", model, "--voice", "ryan", "-o", "-", stdin=data)
    assert done.returncode == 2, done.stderr
    assert b"byte" in done.stderr.splitlines()[0] or b"character" in done.stderr.splitlines()[0]
