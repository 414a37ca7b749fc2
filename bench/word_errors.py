"""Word errors of a transcript, as papers count them: insertions, deletions and substitutions."""
import re


def words_of(text):
    """Lower-case words without punctuation; LibriVox' texts have `mister` where people write `mr`."""
    return re.sub(r"[^a-z0-9 ]", "", text.lower().replace("-", " ").replace("mister", "mr")).split()


def word_errors(want, got):
    """Levenshtein distance of two lists of words."""
    row = list(range(len(got) + 1))
    for i, a in enumerate(want, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(got, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
