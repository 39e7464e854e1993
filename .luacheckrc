-- For Prosody modules: what Prosody gives to them beside Lua itself.
files["prosody/modules"] = {
	std = "max";
	read_globals = { "prosody" };
	globals = { "module" };
}
