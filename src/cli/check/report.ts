/** Writes findings for people, one after the other. */
export function formatFindings(findings: readonly Finding[], isColoured: boolean): string {
  return findings
    .map((finding, index) => {
      // Domains often fail alike: one advice is enough.
      const isRepeated = findings[index + 1]?.advice === finding.advice;
      return format(finding, isRepeated ? undefined : finding.advice, isColoured);
    })
    .join('');
}

/** Writes findings for machines: one JSON object. */
export function findingsToJson(findings: readonly Finding[]): string {
  const ok = findings.every(({ isGood }) => isGood);
  const list = findings.map(({ isGood, text, advice }) => ({ ok: isGood, text, advice }));
  return `${JSON.stringify({ ok, findings: list }, null, 2)}\n`;
}

function format({ isGood, text }: Finding, advice: string | undefined, isColoured: boolean) {
  const lines = advice === undefined ? '' : `${advice.replace(/^(?=.)/gm, '       ')}\n`;
  // Lines to copy stand apart, a sentence does not.
  const more = lines.trimEnd().includes('\n') ? `\n${lines}\n` : lines;
  return `${verdict(isGood, isColoured)} ${text}\n${more}`;
}

const [green, boldRed, plain] = ['\u001b[32m', '\u001b[1;31m', '\u001b[0m'];

function verdict(isGood: boolean, isColoured: boolean): string {
  const word = isGood ? 'ok    ' : 'FAILED';
  return isColoured ? `${isGood ? green : boldRed}${word}${plain}` : word;
}

/** What was tried and how it went. */
export interface Finding {
  readonly isGood: boolean;
  readonly text: string;
  /** How to mend what failed, or to have more of what is right. */
  readonly advice?: string | undefined;
}
