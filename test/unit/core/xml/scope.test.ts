import { expect, test } from 'vitest';
import { createNamespaceScope } from '../../../../src/core/xml/scope.ts';

test('a declaration holds until its element ends', () => {
  const scope = createNamespaceScope(new Map<string, string>([['', 'outer']]));
  scope.enter();
  scope.declare('p', 'one');
  scope.declare('', 'inner');
  scope.enter();
  scope.declare('p', 'two');
  expect([scope.resolve(''), scope.resolve('p')]).toEqual(['inner', 'two']);
  scope.leave();
  expect([scope.resolve(''), scope.resolve('p')]).toEqual(['inner', 'one']);
  scope.leave();
  expect([scope.resolve(''), scope.resolve('p')]).toEqual(['outer', undefined]);
});

test('of two declarations on one element, the end restores what was before both', () => {
  const scope = createNamespaceScope(new Map<string, string>([['', 'outer']]));
  scope.enter();
  scope.declare('', 'one');
  scope.declare('', 'two');
  scope.leave();
  expect(scope.resolve('')).toBe('outer');
});

test('names of Object.prototype are prefixes like others', () => {
  const scope = createNamespaceScope(new Map<string, string>([]));
  expect(scope.resolve('__proto__')).toBeUndefined();
  expect(scope.resolve('constructor')).toBeUndefined();
});
