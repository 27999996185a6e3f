-- Forward auth for HAProxy: asks hourpass about the request's Authorization header, by HAProxy's own HTTP client.
-- Only a 204 lets the request on, with the six identity headers; whatever goes wrong ends it.

local verify_url = ...

local IDENTITY = {
    "hourpass-subject", "hourpass-key-id", "hourpass-scope",
    "hourpass-environment", "hourpass-grant", "hourpass-auth",
}

local function refuse(txn, status, headers)
    local reply = txn:reply({status = status})
    for name, value in pairs(headers) do
        reply:add_header(name, value)
    end
    txn:done(reply)
end

core.register_action("hourpass", {"http-req"}, function(txn)
    local received = txn.http:req_get_headers()
    local scope = txn:get_var("txn.hourpass_scope")
    local answer = core.httpclient():get({
        url = scope and verify_url .. "?scope=" .. scope or verify_url,
        headers = {
            -- Every line of it: hourpass refuses two.
            ["authorization"] = received["authorization"],
            ["x-forwarded-for"] = received["x-forwarded-for"],
        },
        timeout = 10000,
    })

    if answer.status == 204 then
        for _, name in ipairs(IDENTITY) do
            txn.http:req_set_header(name, answer.headers[name][0])
        end
    elseif answer.status == 401 or answer.status == 403 then
        refuse(txn, answer.status, {
            ["www-authenticate"] = answer.headers["www-authenticate"][0],
            ["cache-control"] = "no-store",
        })
    else
        refuse(txn, 503, {["retry-after"] = "1"})
    end
end)
