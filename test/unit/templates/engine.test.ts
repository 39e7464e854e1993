import { afterEach, describe, expect, test, vi } from 'vitest';
import { parseTemplate, TemplateError } from '../../../src/templates/engine.ts';

/** The line and the reason of the error that a function throws. */
function errorOf(run: () => unknown): [line: number, reason: string] {
  try {
    run();
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return [error.line, error.message];
  }
  throw new Error('expected an error');
}

function render(source: string, data: unknown): string {
  return parseTemplate(source).render(data);
}

test.each<[string, unknown, string]>([
  ['{{ a.b }}', { a: { b: 'x' } }, 'x'],
  ['[{{ missing.field }}]', {}, '[]'],
  ['{% for i in payload %}{{ i }},{% endfor %}', [1, 2], '1,2,'],
  ['{{ payload }}', 'text', 'text'],
  ['{{ payload.a }}{{ a }}', { a: 1 }, '11'],
  ['{{ payload }}', { payload: 'its own' }, 'its own'],
  ['{{ at | date: "%H:%M" }}', { at: '2026-03-01T12:00:00+09:00' }, '12:00'],
])('renders %s', (source, data, text) => {
  expect(render(source, data)).toBe(text);
});

describe('on a machine whose language is German', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.resetModules();
  });

  test('dates have English names', async () => {
    const options = new Intl.DateTimeFormat('de').resolvedOptions();
    vi.spyOn(Intl.DateTimeFormat.prototype, 'resolvedOptions').mockReturnValue(options);
    vi.resetModules();
    const engine = await import('../../../src/templates/engine.ts');
    const template = engine.parseTemplate('{{ at | date: "%A, %B %d" }}');
    expect(template.render({ at: '2026-03-01T12:00:00Z' })).toBe('Sunday, March 01');
  });
});

test.each([
  ['{{ constructor }}{{ a.constructor.name }}{{ a.__proto__ }}{{ toString }}'],
  ['{{ payload.constructor }}{{ a.toString }}{{ s.constructor }}'],
])('%s does not reach what is not in the data', (source) => {
  expect(render(source, { a: {}, s: 'text' })).toBe('');
});

test('text in the data is not a template', () => {
  expect(render('{{ a }}', { a: '{{ b }}{% include "/etc/passwd" %}', b: 1 })).toBe(
    '{{ b }}{% include "/etc/passwd" %}',
  );
});

test.each<[string, number, string]>([
  ['a\n{% foo %}', 2, 'tag "foo" not found'],
  ['a\n\n{{ a | foo }}', 3, 'undefined filter: foo'],
  ['{% if a %}', 1, 'tag {% if a %} not closed'],
  ['a\n{{ a ', 2, 'output "{{ a " not closed'],
  ['{% include "a" %}', 1, 'tag "include" not found'],
  ['{% render "a" %}', 1, 'tag "render" not found'],
  ['{% layout "a" %}', 1, 'tag "layout" not found'],
  ['{% block a %}{% endblock %}', 1, 'tag "block" not found'],
])('does not parse %j', (source, line, reason) => {
  expect(errorOf(() => parseTemplate(source))).toEqual([line, reason]);
});

test('a source has a limit', () => {
  expect(errorOf(() => parseTemplate('x'.repeat(65_537)))).toEqual([
    1,
    'more than 65536 characters',
  ]);
});

describe('at run time', () => {
  const items = Array.from({ length: 100_000 }, (_, index) => index);
  test.each<[string, number, string]>([
    ['\n{% for i in items %}{{ i }}{% endfor %}', 2, 'more than 20000 steps'],
    ['{% for i in (1..1000000000) %}{% endfor %}', 1, 'memory alloc limit exceeded'],
    ['\n\n{{ items | json | json | json | json | json | json | json | json }}', 3, 'memory alloc'],
    ['\n{{ object }}', 2, 'a value that is not text'],
    ['{{ object | upcase }}', 1, 'a value that is not text'],
    ['{{ object | plus: 1 }}', 1, 'a value that is not text'],
  ])('%j fails', (source, line, reason) => {
    const data = { items, object: { toString: 1, valueOf: 1 } };
    const [foundLine, foundReason] = errorOf(() => render(source, data));
    expect([foundLine, foundReason]).toEqual([line, expect.stringContaining(reason)]);
  });

  test.each([
    [31, 'x'],
    [32, [1, 'a value that is nested too deeply']],
    [60_000, [1, 'a value that is nested too deeply']],
  ])('lists in %d lists: %j', (levels, expected) => {
    let deep: unknown = 'x';
    for (let level = 0; level < levels; level += 1) deep = [deep];
    const rendering = (): string => render('{{ deep }}', { deep });
    expect(levels < 32 ? rendering() : errorOf(rendering)).toEqual(expected);
  });

  test('a limit holds for each render anew', () => {
    const template = parseTemplate('{% for i in items %}{{ i }}{% endfor %}');
    const data = { items: items.slice(0, 8000) };
    const lengths = [1, 2, 3, 4].map(() => template.render(data).length);
    expect(new Set(lengths).size).toBe(1);
  });
});

test('knows its variables', () => {
  const source = '{% for a in alerts %}{{ a.b }}{% endfor %}{{ title.x }}{{ payload | json }}';
  expect(parseTemplate(source).variables()).toEqual(['alerts', 'title']);
});
