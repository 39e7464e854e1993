-- Lets xmpp-message-gateway connect as a trusted component: for production.
--
-- Debian: copy it to /etc/prosody/conf.d/gateway.cfg.lua, fill in the secret, then
--   chown root:prosody /etc/prosody/conf.d/gateway.cfg.lua
--   chmod 640 /etc/prosody/conf.d/gateway.cfg.lua
--   systemctl restart prosody
-- Elsewhere: name it in an Include line at the end of prosody.cfg.lua.
-- Read README.md beside this file first: it says what the trust means.
--
-- With mod_message_gateway messages are as if a client of the user had sent them. Copy
-- modules/mod_message_gateway.lua beside this file to /usr/local/lib/prosody/modules/, and write
-- above all VirtualHost lines of prosody.cfg.lua:
--   plugin_paths = { "/usr/local/lib/prosody/modules" }
-- To leave it out, delete the lines below that name message_gateway: all else works without.

-- The gateway runs on this machine. Nobody else needs to reach the port.
component_ports = { 5347 }
component_interfaces = { "127.0.0.1" }

-- Prosody 13 drops what a blocked user sends without a word, and the gateway answers 200 to it. With
-- this line the server returns it, as 0.12 always does and XEP-0191 wants: the caller gets a 404.
bounce_blocked_messages = true

-- The component domain: not one of your VirtualHosts, and it needs no DNS entry.
Component "gateway.example.org"
	-- The same as component.secret in gateway.yaml; make it with: openssl rand -hex 32
	component_secret = "CHANGE-ME"
	-- Without this line Prosody closes the stream at the first message from a user's address.
	validate_from_addresses = false
	modules_enabled = { "message_gateway" }
	-- Speak in rooms of this server without joining them.
	message_gateway_speak_in_rooms = true
	-- For whom the gateway may never speak (default: it may for everybody).
	--message_gateway_deny_roles = { "prosody:admin" }
