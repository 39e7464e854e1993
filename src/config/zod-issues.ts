import type { z } from 'zod';
import {
  type ConfigFault,
  type ConfigPath,
  describeKind,
  describeValue,
  type FoundFault,
  findNearest,
  formatPath,
  lacksSpace,
} from './errors.ts';
import { configKeys } from './schema.ts';
import type { ConfigSource } from './yaml.ts';

/** The faults that an issue of the schema reports: one for each unknown key. */
export function readIssue(issue: z.core.$ZodIssue): FoundFault[] {
  const { path, message: expected } = issue;
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key));
  if (issue.code === 'invalid_type' && ['object', 'array'].includes(issue.expected)) {
    return [{ path, expected, got: describeKind }];
  }
  if (issue.code === 'invalid_key') {
    if (lacksSpace(String(path.at(-1)))) return [missingSpace(path)];
    const key = issue.issues[0]?.message ?? expected;
    return [{ path, expected: `as key ${key}`, got: () => 'another one' }];
  }
  return [{ path, expected }];
}

function missingSpace(path: ConfigPath): FoundFault {
  return { path, expected: 'a space after its colon', got: () => 'none' };
}

function unknownKey(path: ConfigPath, key: string): FoundFault {
  if (lacksSpace(key)) return missingSpace([...path, key]);
  const known = keysBelow(path);
  const meant = findNearest(key, known) ?? findElsewhere(key);
  const expected =
    meant === undefined
      ? `one of the keys ${known.join(', ')}`
      : `a known key (did you mean ${meant}?)`;
  return { path: [...path, key], expected, got: () => 'an unknown one' };
}

function keysBelow(path: ConfigPath): string[] {
  const place = formatPath(path).replace(/\[\d+\]/g, '[]');
  const prefix = place && `${place}.`;
  const names = configKeys()
    .filter((key) => key.path.startsWith(prefix))
    .map((key) => key.path.slice(prefix.length).replace(/[.[].*/, ''));
  return [...new Set(names)];
}

function findElsewhere(key: string): string | undefined {
  return configKeys().find(({ path }) => path.endsWith(`.${key}`))?.path;
}

/** Looks up the line and the value of a fault in the file. */
export function locate(
  { path, expected, got = (value) => describeValue(path, value) }: FoundFault,
  { value, lineOf }: ConfigSource,
): ConfigFault {
  return { path: formatPath(path), line: lineOf(path), expected, got: got(valueAt(value, path)) };
}

function valueAt(root: unknown, path: ConfigPath): unknown {
  return path.reduce(
    (value: unknown, step): unknown =>
      typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined,
    root,
  );
}
