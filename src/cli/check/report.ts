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
  const list = findings.map(({ isGood, isNeeded, text, advice }) => {
    return { ok: isGood, needed: isNeeded, text, advice };
  });
  return `${JSON.stringify({ ok: isAllGood(findings), findings: list }, null, 2)}\n`;
}

/** Whether everything that is needed works. */
export function isAllGood(findings: readonly Finding[]): boolean {
  return findings.every(({ isGood, isNeeded }) => isGood || isNeeded === false);
}

function format(finding: Finding, advice: string | undefined, isColoured: boolean) {
  const lines = advice === undefined ? '' : `${advice.replace(/^(?=.)/gm, '       ')}\n`;
  // Blank lines set off lines to copy, but not a single sentence.
  const more = lines.trimEnd().includes('\n') ? `\n${lines}\n` : lines;
  return `${verdict(finding, isColoured)} ${finding.text}\n${more}`;
}

const plain = '\u001b[0m';

function verdict({ isGood, isNeeded }: Finding, isColoured: boolean): string {
  const [word, colour] = isGood
    ? ['ok    ', '\u001b[32m']
    : isNeeded === false
      ? ['later ', '\u001b[33m']
      : ['FAILED', '\u001b[1;31m'];
  return isColoured ? `${colour}${word}${plain}` : word;
}

/** The result of one test. */
export interface Finding {
  readonly isGood: boolean;
  /** False where nothing that is configured needs it yet, so that a failure does not count. */
  readonly isNeeded?: false | undefined;
  readonly text: string;
  /** How to fix a failure, or how to improve what works. */
  readonly advice?: string | undefined;
}
