-- An action is there when `kubectl purser` would do it, too: see operator/src/plugin/decision.rs of Purser.

local status = obj.status or {}
local release = status.release or {}
local annotations = obj.metadata.annotations or {}

local stage = status.stage
-- The release that the spec asks for: a version, or another configuration of it, as in 1.4.0-r2.
local wanted = obj.spec.version
local target = release.target or ""
for revision = 2, 999 do
  if target == obj.spec.version .. "-r" .. revision then
    wanted = target
  end
end
local is_looked_at = stage ~= nil
local is_about_the_wanted = is_looked_at and release.target == wanted
local serves = release.current == wanted
local is_kept = release.kept ~= nil
local goes_back = stage == "RollingBack" or stage == "Restoring"
local is_back = goes_back or stage == "RolledBack"

local function is_condition(name, value)
  for _, found in ipairs(status.conditions or {}) do
    if found.type == name then
      return found.status == value
    end
  end
  return false
end

local waits = stage == "AwaitingApproval" and is_about_the_wanted

local may_abort = is_about_the_wanted and not is_back
  and stage ~= "Validating" and stage ~= "Finished" and stage ~= "Verified"
if serves then
  -- What serves is still watched beside the release before it, or it only follows a change of its settings.
  may_abort = may_abort and stage == "Monitoring" and is_kept
end

-- The schema was changed offline, and payments were accepted since: there is no way back.
local maintenance = (release.preparation or {}).maintenance or {}
if maintenance.isMigrating and maintenance.restoredAt == nil and maintenance["until"] ~= nil then
  may_abort = false
end

local may_roll_back = is_about_the_wanted and not is_back and serves and is_kept

local has_failed = stage == "RolledBack"
  or (release.abandoned ~= nil and release.abandoned.version == wanted)
  or is_condition("SchemaReady", "False")
  or is_condition("SettingsApplied", "False")
  or is_condition("AnalyticsReady", "False")
  or is_condition("Stalled", "True")

local is_paused = annotations["purser.dev/paused"] == "true"

-- The dialogue shows which release is agreed to. One that came in the meantime is not.
local version = { { ["name"] = "version", ["default"] = wanted } }

local actions = {}
actions["approve"] = {
  ["disabled"] = not waits,
  ["iconClass"] = "fa fa-fw fa-check",
  ["displayName"] = "Approve Release",
  ["params"] = version,
}
actions["reject"] = {
  ["disabled"] = not waits,
  ["iconClass"] = "fa fa-fw fa-times",
  ["displayName"] = "Reject Release",
  ["params"] = version,
}
actions["abort"] = {
  ["disabled"] = not may_abort,
  ["iconClass"] = "fa fa-fw fa-stop",
  ["displayName"] = "Abort Release",
}
actions["rollback"] = {
  ["disabled"] = not may_roll_back,
  ["iconClass"] = "fa fa-fw fa-undo",
  ["displayName"] = "Roll Back to the Release Before",
}
actions["retry"] = {
  ["disabled"] = not (is_looked_at and not goes_back and has_failed),
  ["iconClass"] = "fa fa-fw fa-redo",
  ["displayName"] = "Try Again",
}
actions["pause"] = {
  ["disabled"] = not is_looked_at or is_paused,
  ["iconClass"] = "fa fa-fw fa-pause-circle",
}
actions["resume"] = {
  ["disabled"] = not is_looked_at or not is_paused,
  ["iconClass"] = "fa fa-fw fa-play-circle",
}
return actions
