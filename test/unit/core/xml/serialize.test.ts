import { expect, test } from 'vitest';
import { parseXml } from '../../../../src/core/xml/parse.ts';
import {
  boundExpanded,
  escapeAttribute,
  escapeText,
  measureExpanded,
  serializeElement,
} from '../../../../src/core/xml/serialize.ts';
import { clientNamespace, type XmlElement } from '../../../../src/core/xml/xml.ts';
import { context } from '../message-context.ts';
import { refusalOf } from '../refusal.ts';

function parse(text: string): XmlElement {
  const limits = { ...context.limits, elements: 1e6, namespaceBytes: 1e6, depth: 1000 };
  const options = { limits, defaultNamespace: clientNamespace, fragment: false };
  const [root] = parseXml(text, options);
  if (root === undefined || typeof root === 'string') throw new Error('no root');
  return root;
}

function serialize(text: string, maxBytes = 1e6): string {
  return serializeElement(parse(text), maxBytes);
}

test.each([
  ['<m/>', '<m/>'],
  ['<m></m>', '<m/>'],
  ['<m><![CDATA[]]></m>', '<m/>'],
  ["<m xmlns='jabber:client'><body>x</body></m>", '<m><body>x</body></m>'],
  ["<c:m xmlns:c='jabber:client'><c:body/></c:m>", '<m><body/></m>'],
  ["<m xmlns:c='jabber:client' c:a='1'/>", '<m xmlns:c="jabber:client" c:a="1"/>'],
  ["<m><x xmlns='urn:a'><y/></x></m>", '<m><x xmlns="urn:a"><y/></x></m>'],
  ["<m><x xmlns=''/></m>", '<m><x xmlns=""/></m>'],
  [
    "<m><x xmlns='urn:a'><y xmlns=''><z/></y></x></m>",
    '<m><x xmlns="urn:a"><y xmlns=""><z/></y></x></m>',
  ],
  // Without xmlns the recipient would read the component's namespace.
  [
    "<m><p:x xmlns:p='urn:a'><y/></p:x></m>",
    '<m><p:x xmlns:p="urn:a"><y xmlns="jabber:client"/></p:x></m>',
  ],
  // A forwarded message.
  [
    "<m><f xmlns='urn:a'><message xmlns='jabber:client'><body/></message></f></m>",
    '<m><f xmlns="urn:a"><message xmlns="jabber:client"><body/></message></f></m>',
  ],
  [
    "<m><f xmlns='urn:a' xmlns:c='jabber:client'><c:message><c:body/></c:message></f></m>",
    '<m><f xmlns="urn:a"><c:message xmlns:c="jabber:client"><c:body/></c:message></f></m>',
  ],
  ["<m xmlns:p='urn:a'><p:x/><p:y/></m>", '<m><p:x xmlns:p="urn:a"/><p:y xmlns:p="urn:a"/></m>'],
  [
    "<m><p:x xmlns:p='urn:a' p:a='1' b='2'><p:y xmlns:p='urn:b'/><p:z/></p:x></m>",
    '<m><p:x xmlns:p="urn:a" p:a="1" b="2"><p:y xmlns:p="urn:b"/><p:z/></p:x></m>',
  ],
  ["<m xml:lang='de'><xml:x/></m>", '<m xml:lang="de"><xml:x/></m>'],
  ["<m><stream:x xmlns:stream='urn:a'/></m>", '<m><stream:x xmlns:stream="urn:a"/></m>'],
  ["<m xmlns:unused='urn:a'/>", '<m/>'],
  [
    `<m a='&lt;&gt;&amp;&quot;&apos;&#9;&#10;&#13; '>&lt;&gt;&amp;"'\t\n&#13;</m>`,
    `<m a="&lt;&gt;&amp;&quot;&apos;&#x9;&#xA;&#xD; ">&lt;&gt;&amp;"'\t\n&#xD;</m>`,
  ],
  ["<m><x xmlns='urn:&lt;&quot;&amp;'/></m>", '<m><x xmlns="urn:&lt;&quot;&amp;"/></m>'],
])('%s', (text, expected) => {
  expect(serialize(text)).toBe(expected);
});

test('refuses a stanza that is one byte or gigabytes too long', () => {
  expect(serialize('<m>€</m>', 10)).toBe('<m>€</m>');
  expect(refusalOf(() => serialize('<m>€</m>', 9)).code).toBe('too-large');
  const namespace = 'n'.repeat(100_000);
  const hostile = `<m xmlns:p='${namespace}'>${'<p:x/>'.repeat(20_000)}</m>`;
  expect(refusalOf(() => serialize(hostile, 262_144)).code).toBe('too-large');
});

test('escaping leaves other text alone', () => {
  expect(escapeText('a "quoted"\té\n')).toBe('a "quoted"\té\n');
  expect(escapeAttribute('aé😀')).toBe('aé😀');
});

test('the bound of what an element costs is never too low', () => {
  for (let code = 0; code <= 0xffff; code += 1) {
    const value = String.fromCharCode(code);
    const attribute = { prefix: '', name: 'a', namespace: '', value };
    const element: XmlElement = {
      prefix: '',
      name: 'x',
      namespace: 'urn:x',
      attributes: [attribute],
      children: [value],
    };
    if (boundExpanded(element) < measureExpanded(element)) throw new Error(`too low for ${code}`);
  }
});
