import { randomBytes } from 'node:crypto';
import { waitUntil } from '../system/wait.ts';
import { callApi, startEjabberd } from './ejabberd.ts';
import { evaluateOn, startPortMapper } from './erlang.ts';
import type { ErlangNode, ServerOptions, XmppServer } from './xmpp-server.ts';

/** Two ejabberds in a cluster, with the same accounts, sessions and rooms. */
export interface EjabberdCluster {
  readonly first: XmppServer;
  readonly second: XmppServer;
  readonly nodes: { readonly first: ErlangNode; readonly second: ErlangNode };
  stop(): Promise<void>;
}

/** Starts both on loopback, with the same options, and joins the second to the first. */
export async function startCluster(options: ServerOptions): Promise<EjabberdCluster> {
  const { port: epmdPort, child: portMapper } = await startPortMapper();
  const cookie = randomBytes(12).toString('hex');
  const nodes = {
    first: { name: 'first@127.0.0.1', cookie, epmdPort },
    second: { name: 'second@127.0.0.1', cookie, epmdPort },
  };
  const servers: XmppServer[] = [];
  const stop = async (): Promise<void> => {
    for (const server of servers.toReversed()) await server.stop();
    await portMapper.end();
  };
  try {
    const first = await startEjabberd({ ...options, node: nodes.first });
    servers.push(first);
    const second = await startEjabberd({ ...options, node: nodes.second });
    servers.push(second);
    await evaluateOn(nodes.second, `ejabberd_cluster:join('${nodes.first.name}')`);
    await waitUntil(() => isJoined(second), { label: 'the cluster' });
    return { first, second, nodes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function isJoined(server: XmppServer): Promise<boolean> {
  try {
    const status = await callApi(server, 'status', {});
    const cluster: unknown = JSON.parse(await callApi(server, 'list_cluster', {}));
    return status.includes('started') && Array.isArray(cluster) && cluster.length === 2;
  } catch {
    return false;
  }
}
