-- Gives each server of backend "speech" a weight by the queue that it states:
-- 100 if it has nothing to do, 50 with one request, 33 with two, and so on.
local backend = "speech"
local interval = 250 -- milliseconds

local function queue_depth(address, port)
  local socket = core.tcp()
  socket:settimeout(1)
  if not socket:connect(address, port) then
    return nil
  end
  socket:send("GET /health/ready HTTP/1.1\r\nhost: localhost\r\n" ..
    "connection: close\r\n\r\n")
  local depth = nil
  while true do
    local line = socket:receive("*l")
    if not line or line == "" or line == "\r" then
      break
    end
    depth = depth or tonumber(line:lower():match("^x%-queue%-depth:%s*(%d+)"))
  end
  socket:close()
  return depth
end

core.register_task(function()
  while true do
    for _, server in pairs(core.backends[backend].servers) do
      local address, port = server:get_addr():match("^(.*):(%d+)$")
      -- Health checks deal with servers that do not answer.
      local known, depth = pcall(queue_depth, address, tonumber(port))
      if known and depth then
        server:set_weight(tostring(math.max(1, 100 // (1 + depth))))
      end
    end
    core.msleep(interval)
  end
end)
