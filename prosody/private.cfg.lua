-- A private Prosody on loopback, for the quick start and the tests. NOT for production: it takes
-- plaintext logins. For production see example.cfg.lua.
--
-- What differs from run to run comes from the environment; XMG_NAME is ENV_XMG_NAME here:
--   XMG_DIRECTORY         absolute path that takes all files; server.crt and server.key lie there
--   XMG_C2S_PORT          for clients
--   XMG_COMPONENT_PORT    for the gateway
--   XMG_DOMAINS           virtual hosts, separated by spaces
--   XMG_COMPONENT         component domain
--   XMG_COMPONENT_SECRET  its shared secret
--   XMG_INCLUDE           optional: a file of further settings, which win over those here
--                         (for the quick start: mod_message_gateway, from modules/)

-- From 13.0 on Prosody warns of what does not begin with Lua, which 0.12 does not have.
local assert = (Lua or _G).assert
local directory = assert(ENV_XMG_DIRECTORY, "XMG_DIRECTORY is not set")

pidfile = directory .. "/prosody.pid"
data_path = directory .. "/data"
admin_socket = directory .. "/prosody.sock"
log = { { levels = { min = "info" }, to = "file", filename = directory .. "/prosody.log" } }
certificates = directory
ssl = { certificate = directory .. "/server.crt", key = directory .. "/server.key" }
run_as_root = true -- prosodyctl started by root stays root and reads the same files

interfaces = { "127.0.0.1" }
c2s_ports = { ENV_XMG_C2S_PORT }
c2s_direct_tls_ports = { }
s2s_ports = { }
http_ports = { }
https_ports = { }
component_interfaces = { "127.0.0.1" }
component_ports = { ENV_XMG_COMPONENT_PORT }

authentication = "internal_hashed"
disable_sasl_mechanisms = { "DIGEST-MD5" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
storage = "internal"
archive_expires_after = "never"
default_archive_policy = true
bounce_blocked_messages = true -- 0.12 always does

modules_enabled = {
	"roster", "saslauth", "tls", "disco", "ping", "mam", "carbons", "offline", "blocklist", "admin_shell",
}
modules_disabled = { "posix" } -- it would switch to the user prosody

for domain in ENV_XMG_DOMAINS:gmatch("%S+") do
	VirtualHost(domain)
end

Component(ENV_XMG_COMPONENT)
	component_secret = ENV_XMG_COMPONENT_SECRET
	validate_from_addresses = false

if ENV_XMG_INCLUDE then
	Include(ENV_XMG_INCLUDE)
end
