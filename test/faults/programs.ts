import { join } from 'node:path';
import { startEjabberd } from '../support/servers/ejabberd.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { ejabberdDirectory } from '../support/servers/versions.ts';
import type { ServerKind, ServerOptions, XmppServer } from '../support/servers/xmpp-server.ts';
import { createDirectory, runToSuccess } from '../support/system/processes.ts';

/** A server for the scenarios. */
export interface Program {
  readonly title: string;
  readonly kind: ServerKind;
  readonly start: (options?: ServerOptions) => Promise<XmppServer>;
  /** Why it may lose accepted messages in a crash; undefined: it may not. */
  readonly forgets: string | undefined;
  /** Whether it may also lose them when it is stopped gracefully. */
  readonly mayForgetWhenStopped?: boolean;
  /** Whether it answers with an error of type wait, rather than lose, what comes while it stops. */
  readonly refusesWhenStopped?: boolean;
  /** Plays only the scenarios in which the server's process crashes. */
  readonly isForCrashes: boolean;
}

// By default it stores 100 messages for an offline user and returns the others to the sender.
const unlimitedOffline = `
shaper_rules:
  max_user_offline_messages: infinity
`;

function startWithMnesia(options: ServerOptions = {}): Promise<XmppServer> {
  return startEjabberd({ ...options, extra: { ...options.extra, global: unlimitedOffline } });
}

function startProsodyWithModule(options: ServerOptions = {}): Promise<XmppServer> {
  return startProsody({ ...options, ...withModule });
}

function startEjabberdWithModule(options: ServerOptions = {}): Promise<XmppServer> {
  return startWithMnesia({ ...options, ...ejabberdWithModule });
}

async function startWithSqlite(options: ServerOptions = {}): Promise<XmppServer> {
  const database = join(createDirectory('sqlite'), 'ejabberd.db');
  const schema = join(ejabberdDirectory(), 'priv/sql/lite.sql');
  await runToSuccess({ file: 'sqlite3', args: [database, `.read ${schema}`] });
  const storage = `default_db: sql\nsql_type: sqlite\nsql_database: ${database}\n`;
  return startEjabberd({ ...options, extra: { global: storage + unlimitedOffline } });
}

const forgetsInMemory =
  'ejabberd answers before Mnesia has the messages safe on disk; with an SQL database it loses none (below)';

/** The servers that the scenarios are played on. */
export const programs: readonly Program[] = [
  {
    title: 'Prosody',
    kind: 'prosody',
    start: startProsody,
    forgets: undefined,
    isForCrashes: false,
  },
  {
    title: 'Prosody (mod_message_gateway)',
    kind: 'prosody',
    start: startProsodyWithModule,
    forgets: undefined,
    isForCrashes: false,
  },
  {
    title: 'ejabberd (Mnesia, its default)',
    kind: 'ejabberd',
    start: startWithMnesia,
    forgets: forgetsInMemory,
    mayForgetWhenStopped: true,
    isForCrashes: false,
  },
  {
    title: 'ejabberd (Mnesia, mod_message_gateway)',
    kind: 'ejabberd',
    start: startEjabberdWithModule,
    forgets: forgetsInMemory,
    refusesWhenStopped: true,
    isForCrashes: false,
  },
  {
    title: 'ejabberd (SQLite)',
    kind: 'ejabberd',
    start: startWithSqlite,
    forgets: undefined,
    isForCrashes: true,
  },
];
