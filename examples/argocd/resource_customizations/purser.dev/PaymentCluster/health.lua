-- The status of a PaymentCluster follows kstatus: Ready, Reconciling and Stalled, each with observedGeneration.
-- What they mean is decided in operator/src/cluster/conditions.rs of Purser.

local hs = {}

local function condition(name)
  for _, found in ipairs(obj.status.conditions) do
    if found.type == name then
      return found
    end
  end
  return {}
end

local function annotation(name)
  return obj.metadata.annotations ~= nil and obj.metadata.annotations[name] or nil
end

if obj.status == nil or obj.status.stage == nil or obj.status.conditions == nil then
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

local stage = obj.status.stage
local release = obj.status.release or {}
local ready, reconciling, stalled = condition("Ready"), condition("Reconciling"), condition("Stalled")

-- A person has to change something. A version that was rolled back is that, too: what Git asks for does not run.
if stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = stalled.message
  return hs
end

if stage == "RollingBack" or stage == "Restoring" or stage == "RolledBack" then
  hs.status = "Degraded"
  hs.message = release.abandoned ~= nil and release.abandoned.message or reconciling.message
  return hs
end

-- Payments are not taken, though a release was there to take them. Before the first one, that is as expected.
if release.current ~= nil and ready.status == "False" then
  hs.status = "Degraded"
  hs.message = ready.message
  return hs
end

if stage == "AwaitingApproval" or stage == "AwaitingStaging" then
  hs.status = "Suspended"
  hs.message = obj.status.waitingOn or reconciling.message
  return hs
end

if annotation("purser.dev/paused") == "true" then
  hs.status = "Suspended"
  hs.message = obj.status.waitingOn or "paused: the next release will be held"
  return hs
end

if reconciling.status == "True" or ready.status ~= "True" then
  hs.status = "Progressing"
  hs.message = reconciling.message
  return hs
end

hs.status = "Healthy"
hs.message = ready.message
return hs
