import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createStage, limited, muc, registerUsers, silent } from '../checks/message-kinds.ts';
import { createDirectory } from '../system/processes.ts';
import { roleLookup } from './differences.ts';
import { startProsody } from './prosody.ts';
import type { XmppServer } from './xmpp-server.ts';

const modules = fileURLToPath(new URL('../../../prosody/modules', import.meta.url));

/** A room service that keeps new rooms locked until they are configured. */
export const lockingMuc = 'locking.example.org';

/** A room service whose new rooms are locked for no time at all. */
export const unlockingMuc = 'unlocking.example.org';

/** A room service that fails when it passes on messages with the id `room-fault`. */
export const faultyMuc = 'faulty.example.org';

/**
 * A module that fails for messages with the id `fault`, in rooms `room-fault`, and for look-ups of
 * the account `broken`.
 */
function writeFaultyModule(): string {
  const directory = createDirectory('modules');
  const { name, argument } = roleLookup('broken', 'example.org');
  writeFileSync(
    join(directory, 'mod_faulty.lua'),
    `module:hook("pre-message/bare", function (event)
      if event.stanza.attr.id == "fault" then error("a fault"); end
    end, 10);
    module:hook("muc-broadcast-message", function (event)
      if event.stanza.attr.id == "room-fault" then error("a fault"); end
    end);
    local usermanager = require "core.usermanager";
    local look_up = usermanager.${name};
    function usermanager.${name}(account, host)
      if account == "${argument}" then error("a fault"); end
      return look_up(account, host);
    end`,
  );
  return directory;
}

/** A Prosody with mod_message_gateway on its first component, and with all options on `limited`. */
export async function startProsodyWithModule(): Promise<XmppServer> {
  const paths = [modules, writeFaultyModule()].map((path) => JSON.stringify(path)).join();
  const server = await startProsody({
    domains: ['example.org', 'other.example'],
    muc,
    extra: {
      modules: ['faulty'],
      global: `plugin_paths = { ${paths} }
admins = { "root@example.org" }
Component "${silent}"
  component_secret = "never used"
Component "${lockingMuc}" "muc"
Component "${unlockingMuc}" "muc"
  muc_room_lock_timeout = 0
Component "${faultyMuc}" "muc"
  muc_room_locking = false
  modules_enabled = { "faulty" }
Component "${limited}"
  component_secret = "limited"
  validate_from_addresses = false
  modules_enabled = { "message_gateway" }
  message_gateway_allow = { "alice@example.org", "broken@example.org", "Root@Example.org", "*@other.example" }
  message_gateway_deny = { "frank@other.example" }
  message_gateway_deny_roles = { "prosody:admin" }
  message_gateway_speak_in_rooms = true`,
      component: 'modules_enabled = { "message_gateway" }',
    },
  });
  await registerUsers(createStage(server));
  await server.register('root', 'root');
  await server.register('broken', 'broken');
  await server.register('gina', 'gina', 'other.example');
  return server;
}
