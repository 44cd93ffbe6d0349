-- As post.lua, with one connection in each thread: an answer is the one to the thread's last request. Prints how many
-- were accepted, refused (429, 503) and neither, and how long those took that were accepted.

local here = debug.getinfo(1, "S").source:match("^@(.*)timed%.lua$")
dofile(here .. "post.lua")

local ffi = require("ffi")
ffi.cdef [[
struct moment { long seconds; long nanoseconds; };
int clock_gettime(int clock, struct moment *at);
]]
local MONOTONIC = 1
local at, sent_ms = ffi.new("struct moment"), 0
local threads = {}
local send = request
-- Of one thread; `accepted` has its times in milliseconds.
accepted, refused, others = "", 0, 0

local function now_ms()
  ffi.C.clock_gettime(MONOTONIC, at)
  return tonumber(at.seconds) * 1e3 + tonumber(at.nanoseconds) / 1e6
end

function setup(thread)
  threads[#threads + 1] = thread
end

function request()
  local found = send()
  sent_ms = now_ms()
  return found
end

function response(status)
  if status == 200 then
    accepted = accepted .. string.format("%.2f ", now_ms() - sent_ms)
  elseif status == 429 or status == 503 then
    refused = refused + 1
  else
    others = others + 1
  end
end

function done()
  local took, n_refused, n_others = {}, 0, 0
  for _, thread in ipairs(threads) do
    for ms in thread:get("accepted"):gmatch("%S+") do
      took[#took + 1] = tonumber(ms)
    end
    n_refused = n_refused + thread:get("refused")
    n_others = n_others + thread:get("others")
  end
  table.sort(took)
  local p99 = took[math.max(1, math.ceil(0.99 * #took))] or 0
  local line = '{"accepted":%d,"refused":%d,"others":%d,"p99_ms":%.2f}\n'
  io.write(string.format(line, #took, n_refused, n_others, p99))
end
