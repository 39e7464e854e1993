import { describe, expect, it } from 'vitest';
import { parseParameters } from '../../../../src/http/request/message-parameters.ts';

describe('parseParameters', () => {
  it.each([
    ['', false],
    ['format=json', false],
    ['dry_run=false', false],
    ['dry_run=true', true],
    ['dry_run=true&format=json', true],
    ['format=json&dry_run=true', true],
    ['format=json&dry_run=false', false],
  ])('%j: dry run %s', (query, isDryRun) => {
    expect(parseParameters(query)).toEqual({ isDryRun });
  });

  it.each([
    'x',
    '?',
    '&',
    'format=json&',
    'format=xml',
    'format=JSON',
    'format=json&format=json',
    'dry_run',
    'dry_run=',
    'dry_run=1',
    'dry_run=True',
    'dry_run=true=',
    'dry_run==true',
    'dry%5Frun=true',
    'DRY_RUN=true',
    'dry_run=true&dry_run=true',
    'dry_run=true&dry_run=false',
    'constructor=name',
  ])('%j is refused', (query) => {
    expect(() => parseParameters(query)).toThrow(
      expect.objectContaining({ code: 'invalid-message' }),
    );
  });
});
