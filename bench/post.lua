-- Drives wrk: every request is new, with ids of its own. Arguments behind `--`:
-- path, name of the run, events in a request, file with an Authorization value a line.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  path, run, events = args[1], args[2], tonumber(args[3])
  keys = {}
  for line in io.lines(args[4]) do
    keys[#keys + 1] = {
      ["Authorization"] = line,
      ["Content-Type"] = events > 1 and "application/x-ndjson" or "application/json",
    }
  end
  count = 0
end

local function order()
  count = count + 1
  return string.format(
    '{"order_id":"%s-%d-%d","customer_id":"C-%04d","quantity":%d,"amount":"%d.90","placed_at":"2026-11-25T12:00:00Z",' ..
    '"ship_to":{"street":"Long Lane 12","city":"Cologne","zip":"50667"},"note":"ring twice"}',
    run, number, count, count % 500, count % 9 + 1, count % 900 + 100)
end

function request()
  local body
  if events == 1 then
    body = order()
  else
    local lines = {}
    for n = 1, events do lines[n] = order() end
    body = table.concat(lines, "\n") .. "\n"
  end
  requests = (requests or 0) + 1
  return wrk.format("POST", path, keys[requests % #keys + 1], body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
