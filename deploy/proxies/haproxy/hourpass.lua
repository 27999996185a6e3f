-- Forward auth for HAProxy: asks hourpass about the request's credential, with HAProxy's own HTTP client.
-- Only a 204 lets the request pass, with the headers of the answer that begin with hourpass-. Any error ends it.
-- Below that is a filter that lets no trailer pass.

local verify_url = ...

-- Optional: claims of the key in headers of yours (`claim_headers`). Remove "--claim ", and put your headers in the place
-- of x-tenant, in lower case. A client's own never gets through. Hourpass-Claim-* needs no line.
local OWN = {
    --claim "x-tenant",
}

local function refuse(txn, status, headers)
    local reply = txn:reply({status = status})
    for name, value in pairs(headers) do
        reply:add_header(name, value)
    end
    txn:done(reply)
end

local function first(values)
    return values and values[0] or ""
end

core.register_action("hourpass", {"http-req"}, function(txn)
    local received = txn.http:req_get_headers()
    local scope = txn:get_var("txn.hourpass_scope")
    local answer = core.httpclient():get({
        url = scope and verify_url .. "?scope=" .. scope or verify_url,
        headers = {
            -- Every line of it, because hourpass refuses two.
            ["authorization"] = received["authorization"],
            ["x-api-key"] = received["x-api-key"],
            ["x-forwarded-for"] = received["x-forwarded-for"],
            -- hourpass continues the trace of the request.
            ["traceparent"] = received["traceparent"],
            ["tracestate"] = received["tracestate"],
        },
        timeout = 10000,
    })

    if answer.status == 204 then
        for name, values in pairs(answer.headers) do
            if name:find("^hourpass%-") then
                txn.http:req_set_header(name, values[0])
            end
        end
        for _, name in ipairs(OWN) do
            txn.http:req_del_header(name)
            if answer.headers[name] then
                txn.http:req_set_header(name, answer.headers[name][0])
            end
        end
        txn:set_var("txn.hourpass_sunset", first(answer.headers["hourpass-api-key-sunset"]))
        txn:set_var("txn.hourpass_deprecation", first(answer.headers["hourpass-api-key-deprecation"]))
        -- HAProxy goes on with a request if this program fails, so haproxy.cfg refuses every request without this.
        txn:set_var("txn.hourpass_yes", true)
    elseif answer.status == 401 or answer.status == 403 then
        refuse(txn, answer.status, {
            ["www-authenticate"] = first(answer.headers["www-authenticate"]),
            ["cache-control"] = "no-store",
        })
    else
        refuse(txn, 503, {["retry-after"] = "1"})
    end
end)

-- HAProxy 2.8 has no option to drop a request's trailers, and a filter cannot remove them from a message. So a chunked
-- body that has arrived whole gets a length, which leaves no place for trailers. A longer body with trailers is cut off.
-- HAProxy 3.2 has `option http-drop-request-trailers`: use that instead of this filter.

local PATIENCE = 0.5 -- seconds for the rest of a body that fits into HAProxy's buffer

local NoTrailers = {id = "no-trailers", flags = filter.FLT_CFG_FL_HTX}
NoTrailers.__index = NoTrailers

function NoTrailers:new()
    return setmetatable({}, NoTrailers)
end

local function now()
    local time = core.now()
    return time.sec + time.usec / 1000000
end

function NoTrailers:start_analyze(txn, channel)
    if not channel:is_resp() then
        filter.register_data_filter(self, channel)
    end
end

function NoTrailers:http_headers(txn, message)
    if message:is_resp() then
        return filter.CONTINUE
    end
    local headers = message:get_headers()
    if headers["content-length"] then
        self.has_length = true
        return filter.CONTINUE
    end
    if message:eom() then
        -- Over HTTP/2 a request may have a body without a header that says so.
        local length = tonumber(txn.sf:req_body_len()) or 0
        if length > 0 or headers["transfer-encoding"] then
            message:del_header("transfer-encoding")
            message:set_header("content-length", string.format("%d", length))
            self.has_length = true
        end
        return filter.CONTINUE
    end
    self.deadline = self.deadline or now() + PATIENCE
    if message:is_full() or now() >= self.deadline then
        return filter.CONTINUE
    end
    filter.wake_time(100)
    return filter.WAIT
end

function NoTrailers:http_payload(txn, message)
    if self.has_length then
        return
    end
    local length = message:input()
    local body = message:body(0, length)
    -- The end of a chunked body takes one byte in HAProxy's buffer. Trailers take more.
    if length > (body and #body or 0) + 1 then
        error("a trailer came after a long body, and the request is cut off")
    end
end

core.register_filter("no-trailers", NoTrailers, function(class)
    return class
end)
