-- purser.dev/abandoned-version gives up what is on its way; the release that served before it serves.

local release = obj.status ~= nil and obj.status.release or {}
-- The release that the spec asks for: a version, or another configuration of it, as in 1.4.0-r2.
local version = obj.spec.version
local target = release.target or ""
for revision = 2, 999 do
  if target == obj.spec.version .. "-r" .. revision then
    version = target
  end
end

if release.target ~= version or obj.status.stage == "Finished" or obj.status.stage == "Verified" then
  error("nothing is on its way that could be given up", 0)
end
local maintenance = (release.preparation or {}).maintenance or {}
if maintenance.isMigrating and maintenance.restoredAt == nil and maintenance["until"] ~= nil then
  error("the schema was changed offline, and payments were accepted since: there is no way back", 0)
end

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/abandoned-version"] = version
return obj
