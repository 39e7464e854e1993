import { describe, expect, test } from 'vitest';
import {
  createStreamReader,
  findChild,
  type StreamElement,
  StreamReadError,
} from '../../../../src/xmpp/sasl/stream-reader.ts';

const header =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

function createRecorder() {
  const elements: StreamElement[] = [];
  const record = { elements, ended: 0 };
  const reader = createStreamReader({
    onElement: (element) => elements.push(element),
    onEnd: () => {
      record.ended += 1;
    },
  });
  const read = (text: string | Buffer): void => reader.read(Buffer.from(text));
  return { record, reader, read };
}

const features =
  "<stream:features><mechanisms xmlns='urn:x'><mechanism>PLAIN</mechanism><mechanism>é😀</mechanism></mechanisms></stream:features>";

test.each([1, 2, 3, 7, 1000])('reads a stream in chunks of %i bytes', (size) => {
  const { record, reader } = createRecorder();
  const bytes = Buffer.from(`${header}${features}</stream:stream>`);
  for (let at = 0; at < bytes.length; at += size) {
    reader.read(bytes.subarray(at, at + size));
  }
  expect(record.ended).toBe(1);
  expect(record.elements).toHaveLength(1);
  const [element] = record.elements;
  expect(element).toMatchObject({
    name: 'features',
    namespace: 'http://etherx.jabber.org/streams',
  });
  const mechanisms = findChild(element!, 'mechanisms', 'urn:x')?.children.map(({ text }) => text);
  expect(mechanisms).toEqual(['PLAIN', 'é😀']);
  expect(findChild(element!, 'mechanisms', 'urn:y')).toBeUndefined();
});

describe('the boundary after an element', () => {
  test.each([
    ['', true],
    [' ', false],
    ['\n', false],
    ['\r', false],
    ['x', false],
    ['<', false],
    ['<success', false],
    ["<success xmlns='urn:x'/>", true],
    ["<success xmlns='urn:x'/> ", false],
    ['</stream:stream>', false],
  ])('with %j after it', (rest, expected) => {
    const { reader, read } = createRecorder();
    read(header);
    expect(reader.isAtBoundary()).toBe(false);
    read(`<proceed xmlns='urn:x'>é</proceed>${rest}`);
    expect(reader.isAtBoundary()).toBe(expected);
  });
});

describe('refuses', () => {
  const deep = `${'<a>'.repeat(20)}${'</a>'.repeat(20)}`;
  test.each([
    ['another root', "<message xmlns='jabber:client'/>"],
    ['a root of another namespace', "<stream xmlns='jabber:client'>"],
    ['text that is not XML', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['a tag that does not match', `${header}<a></b>`],
    ['an undeclared prefix', `${header}<x:a/>`],
    ['a duplicate attribute', `${header}<a b='1' b='2'/>`],
    ['an undefined entity', `${header}<a>&lol;</a>`],
    ['a control character', `${header}<a>\u0001</a>`],
    ['a document type', `<!DOCTYPE a [<!ENTITY b 'c'>]>${header}`],
    ['a comment', `${header}<!-- a -->`],
    ['a processing instruction', `${header}<?a b?>`],
    ['deep nesting', `${header}${deep}`],
    ['a second root', `${header}</stream:stream><a/>`],
    ['bytes that are not UTF-8', Buffer.concat([Buffer.from(`${header}<a>`), Buffer.from([0xff])])],
    ['an overlong form', Buffer.concat([Buffer.from(`${header}<a>`), Buffer.from([0xc0, 0xbc])])],
    ['a surrogate', Buffer.concat([Buffer.from(`${header}<a>`), Buffer.from([0xed, 0xa0, 0x80])])],
    ['endless text', `${header}<a>${'x'.repeat(70_000)}`],
    ['endless white space', ' '.repeat(70_000)],
    ['endless attributes', `${header}<a ${'x'.repeat(70_000)}`],
  ])('%s', (_name, text) => {
    const { read } = createRecorder();
    expect(() => read(text)).toThrow(StreamReadError);
  });

  test('too many bytes in small chunks', () => {
    const { read } = createRecorder();
    read(header);
    const flood = (): void => {
      for (let count = 0; count < 10_000; count += 1) read("<a xmlns='b'/>");
    };
    expect(flood).toThrow('more than 65536 bytes');
  });
});
