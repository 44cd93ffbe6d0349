-- Posts prepared bodies in turn; prints what wrk measured as one line of JSON.
-- wrk … -s post.lua URL -- FOLDER N [HEADER=VALUE …]

local requests, turn = {}, 0

function init(args)
  local headers = { ["Content-Type"] = "application/json" }
  for i = 3, #args do
    local name, value = args[i]:match("^([^=]+)=(.*)$")
    headers[name] = value
  end
  for i = 1, tonumber(args[2]) do
    local file = assert(io.open(args[1] .. "/" .. (i - 1) .. ".json", "rb"))
    requests[i] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local line = '{"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p95_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f,' ..
    '"status_errors":%d,"socket_errors":%d,"timeouts":%d}\n'
  io.write(string.format(line, summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
