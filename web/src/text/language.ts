// Names of languages, and a sentence in each to hear a voice by.

// Kokoro names languages by a letter.
const letters: Record<string, string> = {
  a: "en-US",
  b: "en-GB",
  e: "es",
  f: "fr",
  h: "hi",
  i: "it",
  j: "ja",
  p: "pt-BR",
  z: "zh",
};

const samples: Record<string, string> = {
  en: "The sea was calm, and the morning light came in softly.",
  es: "El mar estaba en calma y la luz de la mañana entraba suave.",
  fr: "La mer était calme et la lumière du matin entrait doucement.",
  hi: "समुद्र शांत था और सुबह की रोशनी धीरे-धीरे आ रही थी।",
  it: "Il mare era calmo e la luce del mattino entrava piano.",
  pt: "O mar estava calmo e a luz da manhã entrava devagar.",
  ja: "海は穏やかで、朝の光がやさしく差し込んでいました。",
  zh: "大海很平静，清晨的阳光轻轻地照了进来。",
  de: "Das Meer war ruhig, und das Morgenlicht kam sanft herein.",
};

export function languageTag(code: string): string {
  return letters[code] ?? code;
}

/** "American English" for "a" or "en-us"; the code itself if nobody knows. */
export function languageName(code: string): string {
  const tag = languageTag(code);
  if (!tag) return "Any language";
  try {
    const [base, region] = tag.replace("_", "-").split("-");
    const canonical = region ? `${base}-${region.toUpperCase()}` : base!;
    const name = new Intl.DisplayNames(["en"], { type: "language" }).of(canonical) ?? tag;
    if (name !== canonical) return name;
  } catch {
    // Not a tag, but perhaps a name already.
  }
  return tag.charAt(0).toUpperCase() + tag.slice(1);
}

export function sampleSentence(code: string): string {
  return samples[languageTag(code).slice(0, 2).toLowerCase()] ?? samples.en!;
}

/** Languages that a person may name for a recording. */
export const spokenLanguages = [
  "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "nl", "ar",
  "sv", "it", "id", "hi", "fi", "vi", "he", "uk", "el", "cs", "ro", "da", "hu",
];
