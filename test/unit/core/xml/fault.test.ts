import { expect, test } from 'vitest';
import { parseXml } from '../../../../src/core/xml/parse.ts';
import { clientNamespace } from '../../../../src/core/xml/xml.ts';
import { context } from '../message-context.ts';

const { limits } = context;

function parse(text: string, fragment: boolean): unknown {
  return parseXml(text, { limits, defaultNamespace: clientNamespace, fragment });
}

function message(body: string): string {
  return `<message to="bob@example.org"><body>${body}</body></message>`;
}

const noTag = 'for a < in a text write &lt;';

// In `message`, the text of the body begins in column 37.
test.each<[text: string, expected: string]>([
  // A raw ampersand, wherever the parser notices it.
  [message('A & B'), 'column 39: a bare &: write &amp;'],
  [message('A & B; C'), 'column 39: a bare &: write &amp;'],
  [message('a&b'), 'column 38: a bare &: write &amp;'],
  [message('http://example.org/?a=1&b=2'), 'column 60: a bare &: write &amp;'],
  [message('&amp; &'), 'column 43: a bare &: write &amp;'],
  [message('&<b/>'), 'column 37: a bare &: write &amp;'],
  ['<message to="a&b"/>', 'column 15: a bare &: write &amp;'],
  [message('a&nbsp;b'), 'column 38: XML does not know &nbsp;: write the character itself'],
  [message('&auml;'), 'column 37: XML does not know &auml;: write the character itself'],
  [message('&#0;'), 'column 37: this is not the number of a character'],
  [message('&#X41;'), 'column 37: this is not the number of a character'],
  [message('&#xD800;'), 'column 37: this is not the number of a character'],
  [message('&#99999999;'), 'column 37: this is not the number of a character'],
  // A raw less-than sign.
  [message('a < b'), 'column 39: a bare <: write &lt;'],
  [message('I <3 XMPP'), 'column 39: a bare <: write &lt;'],
  [message('<'), 'column 37: a bare <: write &lt;'],
  [message('a <b and c'), `column 42: the attribute and has no value: write and="…"; ${noTag}`],
  [message('<bob@example.org>'), `column 37: <bob@example.org does not begin a tag; ${noTag}`],
  [message('<https://example.org>'), `"/" does not belong in the tag <https:>; ${noTag}`],
  [message('use <name> here'), `column 41: <name> is never closed: write </name> before </body>`],
  [message('a]]>b'), 'column 38: a bare ]]>: write ]]&gt;'],
  // Tags.
  [message('a<br>b'), 'column 38: <br> is never closed: write <br/>'],
  [message('<IMG src="x">'), 'column 37: <IMG> is never closed: write <IMG/>'],
  [message('<b>x<i>y</b></i>'), 'column 41: <i> is never closed: write </i> before </b>'],
  [
    '<message><body>x</Body></message>',
    'column 17: </Body> does not match <body> at line 1, column 10: write </body>',
  ],
  ['<message><body>x</></message>', 'column 17: </> does not match <body>'],
  [
    '<message>x</body></message>',
    'column 11: </body> closes nothing: leave it out, or write <body> where it begins',
  ],
  ['<message><body>x<body></message>', 'column 17: <body> in <body>: to close that, write </body>'],
  ['< message><body>x</body></message>', 'column 1: a space after the < of a tag: leave it out'],
  ['< message to="x"><body/></message>', 'column 1: a space after the < of a tag: leave it out'],
  [
    '<message>< body>x</body></message>',
    `column 10: a space after the < of a tag: leave it out; ${noTag}`,
  ],
  [
    '<message><body>x< /body></message>',
    `column 17: a space after the < of a tag: leave it out; ${noTag}`,
  ],
  ['<message><body>x</ body></message>', 'column 17: a space after the </ of a tag: leave it out'],
  ['<><body/></>', 'column 1: <> is a tag without a name'],
  [message('a <> b'), `column 39: <> is a tag without a name; ${noTag}`],
  ['<message><body>x', 'column 10: <body> is never closed: write </body>'],
  ['<message>', 'column 1: <message> is never closed: write </message>'],
  ['<message', 'column 1: <message without its >'],
  ['<message><body>x</body', 'column 17: </body without its >'],
  ['<message/></message>', 'column 11: </message> closes nothing: leave it out'],
  ['<message><![CDATA[x</message>', 'column 10: <![CDATA[ without its ]]>'],
  // Attributes.
  ['<message to=bob>', 'column 13: the value of to is not in quotes: write to="…"'],
  ['<message to=\\"bob\\"/>', 'column 13: the value of to is not in quotes: write to="…"'],
  [
    '<message to=“bob”/>',
    'column 13: the value of to is not in quotes: write to="…", with straight',
  ],
  ['<message to/>', 'column 10: the attribute to has no value: write to="…"'],
  [`<message to='1'id='2'/>`, 'column 16: a space is missing before this attribute'],
  [
    "<message to='it's'/>",
    "column 17: the ' before this ends the value: write &apos; for it, or double quotes around the",
  ],
  ['<message to="a"b"/>', 'column 16: the " before this ends the value: write &quot; for it'],
  ['<message to="bob><body/>', 'column 18: a < in the value of to: write &lt;, or the " that ends'],
  ['<message to="bob/>', 'column 13: the " that ends the value of to is missing'],
  // What is not one message.
  ['', 'column 1: the text is empty'],
  [' \r\n\t', 'line 1, column 1: the text is empty'],
  [
    '{"to": "bob@example.org"}',
    'column 1: this looks like JSON: send it as Content-Type: application/json',
  ],
  [
    'to=bob%40example.org&body=x',
    'column 1: this looks like a form: send it as Content-Type: application/x-www-form-urlencoded',
  ],
  ['Hello', 'column 1: text before the <message/>: leave it out'],
  ['<message/>!', 'column 11: text after the end of the <message/>: leave it out'],
  ['<message/><message/>', 'column 11: a second element: one <message/> in a body'],
])('%j', (text, expected) => {
  expect(() => parse(text, false)).toThrow(expected);
});

test.each([
  ['<x>A & B</x>', 'line 1, column 6: a bare &: write &amp;'],
  ['\n<subject>a<br>b</subject>', 'line 2, column 11: <br> is never closed: write <br/>'],
  ['<x></x></x>', 'line 1, column 8: </x> closes nothing'],
])('in a fragment: %j', (text, expected) => {
  expect(() => parse(text, true)).toThrow(expected);
});
