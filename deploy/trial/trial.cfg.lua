-- What the trial adds to prosody/private.cfg.lua.
plugin_paths = { "/prosody" }
interfaces = { "*" }
log = { { levels = { min = "info" }, to = "console" } }
Component("gateway.example.org")
	modules_enabled = { "message_gateway" }
