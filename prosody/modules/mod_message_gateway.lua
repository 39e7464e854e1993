-- Lets xmpp-message-gateway speak exactly as a client of the user would: README.md beside this
-- file says what it does, how it is installed and what its options are. For Prosody 0.12 and 13.0.
--
-- Loaded on the gateway's own Component, it listens on every other host of the server. What the
-- component sends from user@host/resource goes through that user's own processing, as if it had
-- come over c2s (RFC 6120 §10); what comes back to that resource goes to the component.

local jid_bare = require "util.jid".bare;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local new_cache = require "util.cache".new;
local now = require "util.time".monotonic;
local set = require "util.set";
local st = require "util.stanza";
local usermanager = require "core.usermanager";

local hosts, bare_sessions, full_sessions = prosody.hosts, prosody.bare_sessions, prosody.full_sessions;
local component = module.host;

local xmlns_gateway = "urn:xmpp-message-gateway:0";
local xmlns_receipts = "urn:xmpp:receipts";
local version = "1";

-- Before anything that could deliver, archive or obey what a refused sender says.
local before_all = 1000;
-- With mod_carbons, after mod_mam (0) and before mod_message (-1).
local with_carbons = -0.5;
-- After these: where a client's socket would be.
local at_the_client = -0.9;
-- Before mod_muc asks for the sender's role (50).
local before_role_check = 60;

if module:get_option_string("component_module") ~= "component" then
	error("mod_message_gateway belongs on the Component that the gateway connects to, not on "..component, 0);
end

-- Which component has last spoken from a full JID: what comes back to that is the component's. One for
-- all gateways of a server. The oldest are forgotten: a late bounce is then dropped, as for a client that left.
local shared = module:shared("/*/message_gateway/speakers");
shared.speakers = shared.speakers or new_cache(10000);
local speakers = shared.speakers;

--- Options

local options;

local function get_jids(name)
	local jids = module:get_option_set(name);
	return jids and jids / function (entry)
		local jid = type(entry) == "string" and jid_prep(entry) or nil;
		local node, _, resource = jid_split(jid);
		if not node or resource then
			module:log("error", "%s: expected user@host or *@host, got %s; ignored", name, entry);
			return nil;
		end
		return jid;
	end;
end

-- Senders that were accepted. Accounts and roles are in files: reading them for each message
-- would make it cost more than one from a client, for whom they are read once, at login.
local accepted = new_cache(1000);
local accepted_for = 5; -- seconds

local function forget_accepted()
	accepted:clear();
end

-- A change by a prosodyctl that does not talk to the server is noticed when the time is up.
for _, event in ipairs {
	"user-deleted", "user-disabled", "host-deactivated",
	"user-roles-changed", -- 0.12
	"user-role-changed", "user-role-added",
} do
	module:hook_global(event, forget_accepted);
end

local function read_options()
	forget_accepted();
	options = {
		allow = get_jids("message_gateway_allow");
		deny = get_jids("message_gateway_deny") or set.new();
		deny_roles = module:get_option_set("message_gateway_deny_roles", {});
		speak_in_rooms = module:get_option_boolean("message_gateway_speak_in_rooms", false);
	};
end

read_options();
module:hook_global("config-reloaded", read_options);

--- Who may be spoken for

local function lists(jids, username, host)
	return jids:contains(username.."@"..host) or jids:contains("*@"..host);
end

local function may_log_in(username, host)
	if not usermanager.user_exists(username, host) then return false; end
	-- 13.0: accounts can be disabled.
	return not usermanager.user_is_enabled or usermanager.user_is_enabled(username, host);
end

-- 13.0. The server's operators are its highest admins, under a separate name.
local function has_denied_role(username, host)
	local role = usermanager.get_user_role(username, host);
	local others = usermanager.get_user_secondary_roles(username, host);
	if not role or not others then return true; end -- not known now
	local denied = options.deny_roles;
	local function is_denied(name)
		return denied:contains(name) or name == "prosody:operator" and denied:contains("prosody:admin");
	end
	if is_denied(role.name) then return true; end
	for name in pairs(others) do
		if is_denied(name) then return true; end
	end
	return false;
end

-- 0.12
local function has_denied_role_by_jid(username, host)
	for name in pairs(usermanager.get_roles(username.."@"..host, host) or {}) do
		if options.deny_roles:contains(name) then return true; end
	end
	return false;
end

local is_denied_by_role = usermanager.get_user_role and has_denied_role or has_denied_role_by_jid;

local function is_allowed(username, host)
	if lists(options.deny, username, host) then return false; end
	if options.allow and not lists(options.allow, username, host) then return false; end
	return options.deny_roles:empty() or not is_denied_by_role(username, host);
end

-- XEP-0356: a component that may send these can speak as anybody.
local function holds_privilege(stanza)
	for _, child in ipairs(stanza.tags) do
		if (child.attr.xmlns or ""):sub(1, 19) == "urn:xmpp:privilege:" then return true; end
	end
	return false;
end

local refusals = {
	["foreign-domain"] = "The sender's domain is not a VirtualHost of this server";
	["no-account"] = "The sender has no account on this server";
	["not-allowed"] = "This server does not let the gateway speak for the sender";
	["resource-in-use"] = "A client of the sender is connected with this resource";
	["privileged-payload"] = "A user cannot send privileged payloads";
};

-- A bare sender needs no account, for gateways that know nothing of this module.
local function find_sender_refusal(username, host, resource)
	if not hosts[host] or hosts[host].type ~= "local" then return "foreign-domain"; end
	if not username or resource and not may_log_in(username, host) then return "no-account"; end
	if not is_allowed(username, host) then return "not-allowed"; end
end

-- Either what is known of an accepted sender, or nil and the reason.
local function accept(username, host, resource)
	local key = (username or "").."@"..host..(resource and "/" or "");
	local sender = accepted:get(key);
	if sender and now() < sender.till then return sender; end
	local reason = find_sender_refusal(username, host, resource);
	if reason then return nil, reason; end
	sender = {
		till = now() + accepted_for;
		role = usermanager.get_user_role and usermanager.get_user_role(username, host); -- 13.0
	};
	accepted:set(key, sender);
	return sender;
end

local function refuse(origin, stanza, reason)
	module:log("info", "Refused a %s from %s: %s", stanza.name, stanza.attr.from, reason);
	-- RFC 6120 §8.3.1: no error in answer to an error; §8.2.3: nor to a result.
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		origin.send(st.error_reply(stanza, "auth", "forbidden", refusals[reason], component)
			:tag("sender-refused", { xmlns = xmlns_gateway, reason = reason }));
	end
	return true;
end

-- What fails in another module must come back, or the gateway would take it for delivered.
local function fail(origin, stanza, kind, err)
	module:log("error", "Could not process a %s from %s: %s", stanza.name, stanza.attr.from, err);
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" and not origin.destroyed then
		origin.send(st.error_reply(stanza, kind, "internal-server-error", nil, component));
	end
	return true;
end

--- Speaking

local function nothing() end

local function log(...)
	return module:log(...);
end

-- As much of a client's session as the modules on the way look at. Not a view of the component's
-- session: whatever closes a client must not close the component's stream.
local function new_client(origin, stanza, role)
	local username, host, resource = jid_split(stanza.attr.from);
	return {
		type = "c2s";
		username = username, host = host, resource = resource, full_jid = stanza.attr.from;
		role = role;
		message_gateway = component;
		log = log;
		close = nothing;
		send = function (reply)
			-- Prosody takes away the `to` of a message to oneself, so an error in answer to it has no `from`.
			-- To a client that means its account (RFC 6120 §8.1.2.1); the component speaks for many.
			if st.is_stanza(reply) and not reply.attr.from then reply.attr.from = username.."@"..host; end
			return not origin.destroyed and origin.send(reply);
		end;
	};
end

local function speak(origin, stanza, role)
	local from, to = stanza.attr.from, stanza.attr.to;
	local client = new_client(origin, stanza, role);
	local ok, err = pcall(prosody.core_post_stanza, client, stanza, true);
	if not ok then
		-- A room writes its occupant there meanwhile; `to` is taken away from a message to oneself.
		stanza.attr.from, stanza.attr.to = from, to;
		return fail(origin, stanza, "cancel", err);
	end
	return true;
end

local function is_question(stanza)
	local child = stanza.tags[1];
	return stanza.name == "iq" and stanza.attr.type == "get"
		and child and child.name == "gateway" and child.attr.xmlns == xmlns_gateway;
end

-- A new one each time the module is loaded. A reload keeps it: that happens at once, so nothing
-- goes past the module.
local generation = {};

function module.save()
	return { generation = generation };
end

function module.restore(saved)
	generation = saved.generation or generation;
end

local function answer(origin, stanza)
	local host = hosts[stanza.attr.to];
	if not host or host.type ~= "local" and not host.modules.muc then return; end
	origin.message_gateway_generation = origin.message_gateway_generation or generation;
	if origin.message_gateway_generation ~= generation then
		-- The answer would say of stanzas that have gone past the module that it has handled them.
		local text = "mod_message_gateway was gone for a while; ask again on another stream";
		origin.send(st.error_reply(stanza, "wait", "resource-constraint", text, component));
		return true;
	end
	local reply = st.reply(stanza):tag("gateway", { xmlns = xmlns_gateway, version = version });
	if options.speak_in_rooms then reply:tag("speak-in-rooms"):up(); end
	if host.type == "local" then reply:tag("receipts"):up(); end
	origin.send(reply);
	return true;
end

-- Where nobody speaks without joining, the gateway's occupants are user%host@component.
local function find_occupant_refusal(stanza, address)
	local username, host = (address or ""):match("^(.+)%%([^%%]+)$");
	if not hosts[host] or hosts[host].type ~= "local" or stanza.attr.type == "unavailable" then return; end
	local _, reason = accept(username, host);
	return reason;
end

-- For whatever the component sends to another host of this server or, on a VirtualHost, to a remote one.
local function from_component(event)
	local origin, stanza = event.origin, event.stanza;
	-- Modules on the component's host send with the host itself as origin.
	if not origin or origin.type ~= "component" or origin.host ~= component or origin == hosts[component] then
		return;
	end
	local username, host, resource = jid_split(stanza.attr.from);
	if host == component then
		if stanza.attr.from == component and is_question(stanza) then return answer(origin, stanza); end
		local ok, reason = pcall(find_occupant_refusal, stanza, username);
		if not ok then return fail(origin, stanza, "wait", reason); end
		return reason and refuse(origin, stanza, reason);
	end
	-- The storage of accounts may fail, or want to wait: nothing has been processed then.
	local ok, sender, reason = pcall(accept, username, host, resource);
	if not ok then return fail(origin, stanza, "wait", sender); end
	if not sender then return refuse(origin, stanza, reason); end
	if holds_privilege(stanza) then return refuse(origin, stanza, "privileged-payload"); end
	if not resource then return; end
	if full_sessions[stanza.attr.from] then return refuse(origin, stanza, "resource-in-use"); end
	speakers:set(stanza.attr.from, component);
	if stanza.name == "message" then return speak(origin, stanza, sender.role); end
end

--- What comes back

local function hand_back(event)
	local to = event.stanza.attr.to;
	if speakers:get(to) ~= component or full_sessions[to] then return; end
	-- On the component's own host everything goes to its stream, whatever the address.
	return module:fire_event(event.stanza.name.."/full", { origin = event.origin, stanza = event.stanza });
end

-- XEP-0184 §5.4: a receipt is for the client that has asked for it. One with a text is also an answer
-- in chat. While the gateway is not connected, its resource is treated as a client that has left.
local function is_receipt(stanza)
	local kind = stanza.attr.type or "normal";
	return (kind == "chat" or kind == "normal")
		and stanza:get_child("received", xmlns_receipts) and not stanza:get_child("body")
		and hosts[component].modules.component.connected;
end

local function message_back(event)
	local kind = event.stanza.attr.type;
	-- Other chat goes on to the clients that are there (RFC 6121 §8.5.3.2.1).
	if kind == "error" or kind == "groupchat" or is_receipt(event.stanza) then return hand_back(event); end
end

-- mod_carbons thinks that a message for a resource that is not connected goes to the clients of the
-- highest priority, and leaves just these out (XEP-0280 §7: it goes to all but the addressee).
local function copy_to_first(event)
	local stanza = event.stanza;
	local to = stanza.attr.to;
	if speakers:get(to) ~= component or full_sessions[to] then return; end
	if stanza.attr.type ~= "error" and not is_receipt(stanza) then return; end
	local user_bare = jid_bare(to);
	local user = bare_sessions[user_bare];
	if not user or not user.top_resources then return; end
	local _, host = jid_split(to);
	-- Since 13.0.7, mod_carbons decides by the last two.
	local question = { stanza = stanza, session = event.origin, from_c2s = false, user_bare = user_bare };
	if not module:context(host):fire_event("carbons-should-copy", question) then return; end
	for _, session in pairs(user.sessions) do
		if session.want_carbons and session.priority == user.top_resources[1].priority then
			local copy = st.clone(stanza);
			copy.attr.xmlns = "jabber:client";
			session.send(st.message({ from = user_bare, to = session.full_jid, type = stanza.attr.type or "normal" })
				:tag("received", { xmlns = "urn:xmpp:carbons:2" })
					:tag("forwarded", { xmlns = "urn:xmpp:forward:0" })
						:add_child(copy));
		end
	end
end

local function presence_back(event)
	local kind = event.stanza.attr.type;
	if kind == nil or kind == "unavailable" or kind == "error" then return hand_back(event); end
end

local function iq_back(event)
	local kind = event.stanza.attr.type;
	if kind == "result" or kind == "error" then return hand_back(event); end
end

--- Rooms

local function own_occupant(room, client)
	local user = bare_sessions[client.username.."@"..client.host];
	for _, session in pairs(user and user.sessions or {}) do
		local occupant = room:get_occupant_by_real_jid(session.full_jid);
		if occupant then return occupant; end
	end
end

-- XEP-0045 §7.2: what would keep the sender from joining, under the conditions that a join is
-- refused with.
local function find_room_error(room, jid, nick)
	local affiliation = room:get_affiliation(jid);
	local holder, reserved_for = room:get_occupant_by_nick(room.jid.."/"..nick), room:get_registered_jid(nick);
	if affiliation == "outcast" then
		return "auth", "forbidden";
	elseif room:get_members_only() and not affiliation then
		return "auth", "registration-required";
	elseif room:get_password() then
		return "auth", "not-authorized";
	elseif os.time() < (room._data.locked or 0) then -- until then
		return "cancel", "item-not-found";
	elseif holder and holder.bare_jid ~= jid or reserved_for and reserved_for ~= jid then
		return "cancel", "conflict";
	end
end

-- Supplies the occupant that mod_muc looks for; what it may say is left to mod_muc.
local function speak_in_room(event)
	local room, client, stanza = event.room, event.origin, event.stanza;
	if event.occupant or not options.speak_in_rooms or client.message_gateway ~= component then return; end
	event.occupant = own_occupant(room, client);
	if event.occupant then return; end
	local jid = client.username.."@"..client.host;
	local nick = room:get_registered_nick(jid) or client.username;
	local kind, condition = find_room_error(room, jid, nick);
	if kind then
		client.send(st.error_reply(stanza, kind, condition, nil, room.jid));
		return true;
	end
	event.occupant = room:new_occupant(jid, room.jid.."/"..nick);
end

--- On every host but the component's own

local function add_host(name)
	local host = hosts[name];
	if name == component or not host then return; end
	local function hook(event, handler, priority)
		module:hook_object_event(host.events, event, handler, priority);
	end
	for _, kind in ipairs { "message", "presence", "iq" } do
		for _, address in ipairs { "bare", "full", "host" } do
			hook(kind.."/"..address, from_component, before_all);
		end
	end
	hook("route/remote", from_component, before_all);
	if host.type == "local" then
		hook("message/full", copy_to_first, with_carbons);
		hook("message/full", message_back, at_the_client);
		-- mod_presence and mod_iq (0) end what they are given; mod_blocklist is at 100.
		hook("presence/full", presence_back, 1);
		hook("iq/full", iq_back, 1);
	else
		hook("muc-occupant-groupchat", speak_in_room, before_role_check);
	end
end

for name in pairs(hosts) do add_host(name); end
module:hook("route/remote", from_component, before_all);
module:hook_global("host-activated", add_host);
