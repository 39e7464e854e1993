// Ends with one sentence if Node.js is too old. The npm scripts call it before what would end with a stack
// trace there.
import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const wanted = engines.node.replace('>=', '');
const [wantedMajor, wantedMinor] = wanted.split('.').map(Number);
const [major, minor] = process.versions.node.split('.').map(Number);

if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
  console.error(
    `xmpp-message-gateway needs Node.js ${wanted} or newer, and this is ${process.versions.node}: README.md says where to get it.`,
  );
  process.exitCode = 1;
}
