-- The status of a PaymentProvider follows kstatus: Ready, Reconciling and Stalled, each with observedGeneration.
-- What they mean is decided in operator/src/provider/judge.rs of Purser.

local hs = {}

if obj.status == nil or obj.status.conditions == nil then
  hs.status = "Progressing"
  hs.message = "the operator has not looked at it yet"
  return hs
end

local observed = obj.status.observedGeneration
if observed ~= nil and obj.metadata.generation ~= nil and observed < obj.metadata.generation then
  hs.status = "Progressing"
  hs.message = "the operator has not looked at this spec yet"
  return hs
end

for _, condition in ipairs(obj.status.conditions) do
  -- One that is switched off by spec.active is as ready as it is meant to be.
  if condition.type == "Ready" and condition.status == "True" then
    hs.status = "Healthy"
    hs.message = condition.message
    return hs
  end
  if condition.type == "Ready" and condition.status == "False" then
    hs.status = "Degraded"
    hs.message = condition.message
    return hs
  end
end

hs.status = "Progressing"
hs.message = "nobody knows yet whether it is ready"
return hs
