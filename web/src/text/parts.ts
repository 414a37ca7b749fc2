// Long texts in parts that the server takes.

/** Characters of one request; the server's own limit is OpenAI's 4096. */
export const partLimit = 4000;

/**
 * Cuts a text at paragraphs, else sentences, else words, into parts of at most
 * `limit` characters. Together the parts are the text.
 */
export function splitText(text: string, limit = partLimit): string[] {
  const parts: string[] = [];
  let rest = text;
  while (rest.length > limit) {
    const head = rest.slice(0, limit);
    const cut = [/\n\s*\n(?![\s\S]*\n\s*\n)/, /[.!?。！？।]["'”’)]*\s+(?!.*[.!?。！？।]["'”’)]*\s)/s, /\s(?!.*\s)/s]
      .map((border) => {
        const match = border.exec(head);
        return match ? match.index + match[0].length : 0;
      })
      .find((at) => at > limit / 4);
    parts.push(rest.slice(0, cut ?? limit));
    rest = rest.slice(cut ?? limit);
  }
  if (rest.trim() !== "" || parts.length === 0) parts.push(rest);
  return parts;
}
