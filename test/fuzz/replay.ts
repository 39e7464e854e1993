import { readFileSync } from 'node:fs';
import { createHttpConnection } from '../support/clients/http-connection.ts';
import { type FuzzServer, startFuzzSite } from './site.ts';

/** Sends one request from a file and prints the result; true when nothing broke. */
export async function replay(program: FuzzServer, file: string): Promise<boolean> {
  const site = await startFuzzSite(program);
  const connection = createHttpConnection(site.gateway().port);
  try {
    const answer = await connection.exchange(readFileSync(file)).catch(String);
    const trouble = await site.findTrouble();
    console.log(`\n${program.kind}:`);
    if (typeof answer === 'string') console.log(answer);
    else console.log(answer.status, answer.headers, `\n\n${answer.body}`);
    for (const { xml } of site.bob().received) console.log(`the recipient got: ${xml}`);
    console.log(trouble ?? 'nothing broke');
    const isGood = typeof answer !== 'string' && answer.status !== 500;
    return isGood && trouble === undefined;
  } finally {
    connection.destroy();
    await site.stop();
  }
}
