/** Formats findings for people. */
export function formatFindings(findings: readonly Finding[], isColoured: boolean): string {
  return findings
    .map((finding, index) => {
      // Domains often fail for the same reason: the advice is printed once, after the last.
      const isRepeated = findings[index + 1]?.advice === finding.advice;
      return format(finding, isRepeated ? undefined : finding.advice, isColoured);
    })
    .join('');
}

/** Formats findings as one JSON object. */
export function findingsToJson(findings: readonly Finding[]): string {
  const ok = findings.every(({ isGood }) => isGood);
  const list = findings.map(({ isGood, text, advice }) => ({ ok: isGood, text, advice }));
  return `${JSON.stringify({ ok, findings: list }, null, 2)}\n`;
}

function format({ isGood, text }: Finding, advice: string | undefined, isColoured: boolean) {
  const lines = advice === undefined ? '' : `${advice.replace(/^(?=.)/gm, '       ')}\n`;
  // Blank lines set off lines to copy, but not a single sentence.
  const more = lines.trimEnd().includes('\n') ? `\n${lines}\n` : lines;
  return `${verdict(isGood, isColoured)} ${text}\n${more}`;
}

const [green, boldRed, plain] = ['\u001b[32m', '\u001b[1;31m', '\u001b[0m'];

function verdict(isGood: boolean, isColoured: boolean): string {
  const word = isGood ? 'ok    ' : 'FAILED';
  return isColoured ? `${isGood ? green : boldRed}${word}${plain}` : word;
}

/** The result of one test. */
export interface Finding {
  readonly isGood: boolean;
  readonly text: string;
  /** How to fix a failure, or how to improve what works. */
  readonly advice?: string | undefined;
}
