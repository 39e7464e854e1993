-- Parses XML with libexpat, like Prosody, and prints the result.
-- Input: a line with a number of bytes, then these bytes; repeated until the end.
-- Output: a line of JSON each, {"error": …} or {"root": [name, attributes, default, children]}:
-- names are "{namespace}local", attributes a list of pairs, `default` the default namespace that the
-- element itself declares or null, children are elements and pieces of text.
local lxp = require "lxp"

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(text)
	return '"' .. text:gsub('[%c"\\]', function(character)
		return escapes[character] or ("\\u%04x"):format(character:byte())
	end) .. '"'
end

local function expand(name)
	local namespace, localname = name:match("^(.*)\1([^\1]*)$")
	return quote("{" .. (namespace or "") .. "}" .. (localname or name))
end

local function read(xml)
	local out = {}
	local default = "null"
	local isFirst = true

	local function put(...)
		if not isFirst then out[#out + 1] = "," end
		for _, piece in ipairs { ... } do out[#out + 1] = piece end
	end

	local parser = lxp.new({
		StartNamespaceDecl = function(_, prefix, namespace)
			if prefix == nil then default = quote(namespace or "") end
		end,
		StartElement = function(_, name, attributes)
			local pairs_ = {}
			for index, attribute in ipairs(attributes) do
				pairs_[index] = "[" .. expand(attribute) .. "," .. quote(attributes[attribute]) .. "]"
			end
			put("[", expand(name), ",[", table.concat(pairs_, ","), "],", default, ",[")
			default = "null"
			isFirst = true
		end,
		EndElement = function()
			out[#out + 1] = "]]"
			isFirst = false
		end,
		CharacterData = function(_, text)
			put(quote(text))
			isFirst = false
		end,
	}, "\1")
	local ok, message, line, column = parser:parse(xml)
	if ok then ok, message, line, column = parser:parse() end
	if not ok then
		return ('{"error":%s}'):format(quote(("%s at line %d, column %d"):format(message, line, column)))
	end
	return '{"root":' .. table.concat(out) .. "}"
end

for count in io.lines() do
	io.write(read(io.read(tonumber(count)) or ""), "\n")
	io.flush()
end
