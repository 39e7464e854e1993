import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findXmlFault } from '../../../../src/core/xml/fault.ts';
import { parseXml } from '../../../../src/core/xml/parse.ts';
import {
  clientNamespace,
  XmlError,
  type XmlNode,
  xmlNamespace,
} from '../../../../src/core/xml/xml.ts';
import { context } from '../message-context.ts';

const { limits } = context;

function parse(text: string, fragment = false): XmlNode[] {
  return parseXml(text, { limits, defaultNamespace: clientNamespace, fragment });
}

function errorOf(text: string, fragment = false): XmlError {
  const outcome = outcomeOf(text, fragment);
  if (outcome instanceof XmlError) return outcome;
  throw new Error('expected an XmlError');
}

function nested(levels: number): string {
  return '<a>'.repeat(levels) + '</a>'.repeat(levels);
}

function manyAttributes(count: number): string {
  return Array.from({ length: count }, (_, index) => ` a${index}=''`).join('');
}

/** An element in jabber:client, which is the default. */
function element(name: string, rest: object = {}): object {
  return { prefix: '', name, namespace: clientNamespace, attributes: [], children: [], ...rest };
}

function attribute(name: string, value: string, prefix = '', namespace = ''): object {
  return { prefix, name, namespace, value };
}

describe('reads', () => {
  test.each<[string, object]>([
    ['<a/>', element('a')],
    ['\ufeff<a/>', element('a')],
    ["<?xml version='1.0'?>\n<a/>\n", element('a')],
    [`<?xml version="1.0" encoding='utf-8' standalone="yes" ?><a/>`, element('a')],
    ['<a></a >', element('a')],
    ['<a>x&lt;&#x41;&#66;<![CDATA[<b>&amp;]]>y</a>', element('a', { children: ['x<AB<b>&amp;y'] })],
    ['<a>1\r\n2\r3\n4&#13;5</a>', element('a', { children: ['1\n2\n3\n4\r5'] })],
    [
      "<a b='1\r\n2\t3\r4\n5&#9;6&#10;7&#13;8'/>",
      element('a', { attributes: [attribute('b', '1 2 3 4 5\t6\n7\r8')] }),
    ],
    [
      '<a xml:lang="de" x="&quot;&apos;&amp;"/>',
      element('a', {
        attributes: [attribute('lang', 'de', 'xml', xmlNamespace), attribute('x', `"'&`)],
      }),
    ],
    ['<xml:a/>', element('a', { prefix: 'xml', namespace: xmlNamespace })],
    ['<a xmlns=""/>', element('a')],
    ['<a xmlns=""><b/></a>', element('a', { children: [element('b')] })],
    [
      '<a><b xmlns=""><c/></b></a>',
      element('a', {
        children: [element('b', { namespace: '', children: [element('c', { namespace: '' })] })],
      }),
    ],
    [
      '<p:a xmlns:p="urn:p" p:x="1" x="2"><b/><p:c xmlns:p="urn:q"/></p:a>',
      element('a', {
        prefix: 'p',
        namespace: 'urn:p',
        attributes: [attribute('x', '1', 'p', 'urn:p'), attribute('x', '2')],
        children: [element('b'), element('c', { prefix: 'p', namespace: 'urn:q' })],
      }),
    ],
    [`<a xmlns:xml="${xmlNamespace}"/>`, element('a')],
    ['<a xmlns=" urn:x y "/>', element('a', { namespace: ' urn:x y ' })],
    [
      '<a __proto__="1" constructor="2"/>',
      element('a', { attributes: [attribute('__proto__', '1'), attribute('constructor', '2')] }),
    ],
  ])('%j', (text, expected) => {
    expect(parse(text)).toEqual([expected]);
  });

  test.each<[string, unknown[]]>([
    ['', []],
    [' \n', [' \n']],
    ['<a/>\n<b/>', [element('a'), '\n', element('b')]],
    ['<a/>x', [element('a'), 'x']],
    ['<![CDATA[x]]>y', ['xy']],
    ['<a xmlns=""/>', [element('a', { namespace: '' })]],
  ])('the fragment %j', (text, expected) => {
    expect(parse(text, true)).toEqual(expected);
  });
});

describe('calls malformed', () => {
  test.each([
    '',
    ' ',
    'x',
    '<a>',
    '<a',
    '<a/',
    '</a>',
    '<a></b>',
    '<a/><b/>',
    '<a/>x',
    'x<a/>',
    '<a/><![CDATA[x]]>',
    '<a/>&amp;',
    '<a b/>',
    '<a b=c/>',
    "<a b='1'c='2'/>",
    "<a b='1' b='2'/>",
    "<a b='<'/>",
    '<a>]]></a>',
    '<a>&</a>',
    '<a>& </a>',
    '<a>&foo;</a>',
    '<a>&__proto__;</a>',
    '<a>&#0;</a>',
    '<a>&#1;</a>',
    '<a>&#xD800;</a>',
    '<a>&#xFFFE;</a>',
    '<a>&#x110000;</a>',
    '<a>&#X41;</a>',
    '<a>\u0000</a>',
    '<a>\u0008</a>',
    '<a>\ufffe</a>',
    '<a>\ud800</a>',
    '<a>\ud800<b/></a>',
    '<a>\udc00</a>',
    '<1/>',
    '<a:/>',
    '<:a/>',
    '<a:b:c/>',
    '<a:b/>',
    '<a b:c="1"/>',
    '<xmlns:a/>',
    '<a xmlns:="urn:a"/>',
    '<a:1 xmlns:a="urn:a"/>',
    '<a xmlns:p="urn:a" xmlns:q="urn:a" p:x="1" q:x="2"/>',
    '<a><!-- -- --></a>',
    '<a><!-- ',
    '<a><!-- x --></b>',
    '<!----><a b></a>',
    '<a><?x ?></a>&',
    '<!DOCTYPE a',
    '<a><?xml version="1.0"?></a>',
    ' <?xml version="1.0"?><a/>',
    '<?xml version="1.1"?><a/>',
    '<?xml version="1.7"?><a/>',
    '<?xml version="2.0"?><a/>',
    '<?xml encoding="UTF-8"?><a/>',
    '<?xml version="1.0" encoding="UTF-16"?><a/>',
    '<?xml version="1.0" encoding="ISO-8859-1"?><a/>',
    '<?xml version="1.0" encoding="utf8"?><a/>',
    '<?xml version="1.0" encoding=""?><a/>',
    '<?xml version="1.0" standalone="maybe"?><a/>',
    '<?xml?><a/>',
  ])('%j', (text) => {
    expect(errorOf(text).kind).toBe('malformed');
  });

  test.each(['<a>', '</a>', '&x;', '<?xml version="1.0"?><a/>'])('the fragment %j', (text) => {
    expect(errorOf(text, true).kind).toBe('malformed');
  });
});

describe('refuses', () => {
  test.each([
    ['<!DOCTYPE a><a/>', ''],
    ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', ''],
    ['<!-- x --><a/>', ''],
    ['<a><b><!----></b></a>', '/a/b'],
    ['<a/><?x y?>', ''],
    ['<a><?x?></a>', '/a'],
    ['<a>\u{10000}<Ⰰ/></a>', '/a/Ⰰ'],
    ['<a \u0132="1"/>', '/a'],
    ['<a xmlns:\u0132="urn:a"/>', '/a'],
    ['<\u0132:a xmlns:\u0132="urn:a"/>', '/Ĳ:a'],
    ['<a><p:b xmlns:p=""/></a>', '/a/p:b'],
    ['<a xmlns:xml="urn:a"/>', '/a'],
    ['<a xmlns:xmlns="urn:a"/>', '/a'],
    ['<a xmlns:xmlns="http://www.w3.org/2000/xmlns/"/>', '/a'],
    ['<a xmlns:p="http://www.w3.org/2000/xmlns/"/>', '/a'],
    [`<a xmlns:p="${xmlNamespace}"/>`, '/a'],
    [`<a xmlns="${xmlNamespace}"/>`, '/a'],
    ['<a xmlns="urn:a&#10;b"/>', '/a'],
    ['<a xmlns:p="urn:a&#9;b"/>', '/a'],
    ['<a xmlns:p="&#xD;"/>', '/a'],
  ])('%j at %j', (text, path) => {
    const { kind, path: actual } = errorOf(text);
    expect({ kind, path: actual }).toEqual({ kind: 'refused', path });
  });
});

describe('limits', () => {
  test('depth: the last level allowed and the first refused', () => {
    expect(() => parse(nested(32))).not.toThrow();
    expect(errorOf(nested(33)).message).toContain('more than 32 nested elements');
    expect(() => parse(nested(31), true)).not.toThrow();
    expect(errorOf(nested(32), true).kind).toBe('refused');
  });

  test('depth: at most 1,000 levels, even if the operator allows more', () => {
    const options = {
      defaultNamespace: '',
      fragment: false,
      limits: { ...limits, elements: 1e9, depth: 1e9 },
    };
    expect(() => parseXml(nested(1000), options)).not.toThrow();
    expect(() => parseXml(nested(1001), options)).toThrow('more than 1000 nested');
  });

  test('attributes: the last one allowed and the first refused, declarations counted', () => {
    expect(() => parse(`<a${manyAttributes(256)}/>`)).not.toThrow();
    expect(errorOf(`<a><b${manyAttributes(257)}/></a>`)).toMatchObject({
      kind: 'refused',
      path: '/a/b',
    });
    expect(errorOf(`<a xmlns:p='urn:p'${manyAttributes(256)}/>`).kind).toBe('refused');
  });

  // In quadratic time, or if parsed to their ends, these would exceed the test's deadline.
  test('hostile texts come to an end', () => {
    const many = 100_000;
    const longNamespace = 'n'.repeat(many / 2);
    const texts = [
      `<a><!--${'-'.repeat(many)}`,
      `<a><!--${'- '.repeat(many)}`,
      '<a>'.repeat(many),
      `<a ${Array.from({ length: many }, (_, index) => `a${index}=''`).join(' ')}/>`,
      `<a>${'&lt;'.repeat(many / 4)}`,
      `<a>&${'x'.repeat(many)}`,
      `<a>${'<![CDATA[]]>'.repeat(many / 12)}`,
      `<${'a:'.repeat(many)}/>`,
      `<a xmlns:p='${longNamespace}'>${"<b p:x='' p:y=''/>".repeat(many / 30)}`,
      `<!DOCTYPE a [${'<!-- '.repeat(many)}`,
      `<a>${'&amp;'.repeat(many / 5)}&`,
      `<a b="${'&amp;'.repeat(many / 5)}<"/>`,
      `${'<b>'.repeat(30)}${'<b></b>'.repeat(many / 5)}</c>`,
    ];
    for (const text of texts) expect(() => parse(text)).toThrow(XmlError);
  });

  test('messages abbreviate names and namespaces', () => {
    const long = 'x'.repeat(100_000);
    for (const text of [`<${long}`, `<a><${long}></a>`, `<${long}:a/>`, `<a>&${long};</a>`]) {
      const { message, path } = errorOf(text);
      expect(message.length + path.length).toBeLessThan(400);
    }
  });

  test('messages name the place', () => {
    expect(errorOf('<a>\n  <b>&foo;</b></a>').message).toMatch(/^line 2, column 6: XML does not/);
    expect(errorOf('<a>\n\u001b[1m</a>').message).toBe(
      'line 2, column 1: XML cannot carry the character ESC (a control character)',
    );
  });

  test('the parser has the last word: a mistake after its place is not named', () => {
    expect(errorOf('<a b="1" b="2">&</a>').message).toBe(
      'line 1, column 15: duplicate attribute: b',
    );
  });
});

function outcomeOf(text: string, fragment: boolean): XmlNode[] | XmlError {
  try {
    return parse(text, fragment);
  } catch (error) {
    if (error instanceof XmlError) return error;
    throw error;
  }
}

test('any text is read or gives an XmlError', () => {
  const characters = Array.from('</>a:="\'&;#x!?-[] \u0000');
  const pieces = ['<a', '</a>', '<?xml', '<![CDATA[', ']]>', '<!--', 'xmlns', "='b'", '\ud800'];
  const part = fc.constantFrom(...characters, ...pieces);
  fc.assert(
    fc.property(fc.array(part), fc.boolean(), (parts, fragment) => {
      const text = parts.join('');
      const outcome = outcomeOf(text, fragment);
      if (!(outcome instanceof XmlError)) expect(findXmlFault(text, fragment)).toBeUndefined();
    }),
    { numRuns: 2000 },
  );
});

test.each([' ', '  ', '\u00a0'])(
  'the namespace name %j is refused, because some parsers trim it',
  (namespace) => {
    for (const text of [`<p:x xmlns:p='${namespace}' p:a='1'/>`, `<x xmlns='${namespace}'/>`]) {
      expect(() => parse(text)).toThrow(/is only white space/);
    }
  },
);
