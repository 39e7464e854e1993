/** A text that is short enough for an error message. */
export function abbreviate(text: string, longest = 60): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** A text as it may stand in an error message: abbreviated, escaped, in double quotes. */
export function quote(text: string): string {
  return JSON.stringify(abbreviate(text));
}
