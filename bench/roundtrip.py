#!/usr/bin/env python3
"""Kokoro speaks, Whisper base listens: the character error rate of each language.

    bench/roundtrip.py [--model whisper-base]

Letters and numbers count, in lower case, without accents on them being dropped.
"""
import argparse
import os
import pathlib
import subprocess
import tempfile
import unicodedata

from word_errors import word_errors

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("MLX_AUDIO_BUILD", ROOT / "build/release")) / "bin/mlx-audio"
SENTENCES = {
    "en-us": ["The weather was warm and sunny, so we walked along the river.", "She bought three apples at the market.",
              "My brother plays the piano in a small band."],
    "en-gb": ["The museum opens at nine in the morning.", "Please send me the report before lunch.",
              "They lived in a cottage near the sea."],
    "es": ["Buenos días, me gusta mucho el café con leche.", "Mañana vamos a visitar a mi abuela en el pueblo.",
           "El tren sale de la estación a las ocho."],
    "fr": ["Bonjour, je voudrais une baguette et un café.", "Nous avons passé les vacances au bord de la mer.",
           "Il fait très beau aujourd'hui dans le jardin."],
    "it": ["Buongiorno, vorrei un bicchiere di acqua.", "Domani andiamo al mare con gli amici.",
           "La casa di mia nonna è molto grande."],
    "pt-br": ["Bom dia, eu gosto muito de café.", "Amanhã vamos viajar para a praia com a família.",
              "O menino brinca no parque com o cachorro."],
    "hi": ["आज मौसम बहुत अच्छा है।", "मेरा भाई हर दिन स्कूल जाता है।", "मुझे चाय पीना पसंद है।"],
}


def letters(text):
    text = unicodedata.normalize("NFC", text.lower())
    return [c for c in text if unicodedata.category(c)[0] in "LMN"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="whisper-base")
    model = arguments.parse_args().model
    print("| language | character error rate | heard last |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        wav = pathlib.Path(folder) / "a.wav"
        for language, sentences in SENTENCES.items():
            errors = total = 0
            for text in sentences:
                subprocess.run([PROGRAM, "tts", text, "-l", language, "--seed", "1", "--quiet", "-o", wav], check=True)
                heard = subprocess.run([PROGRAM, "stt", wav, "-m", model, "-l", language[:2], "-o", "-"], check=True,
                                       capture_output=True, text=True).stdout
                errors += word_errors(letters(text), letters(heard))
                total += len(letters(text))
            print(f"| {language} | {100 * errors / total:.1f} % | {heard.strip()} |", flush=True)


if __name__ == "__main__":
    main()
