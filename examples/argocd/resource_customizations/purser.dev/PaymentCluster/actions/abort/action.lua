-- purser.dev/abandoned-version gives up what is on its way; the release that served before it serves.

local release = obj.status ~= nil and obj.status.release or {}
local version = obj.spec.version

if release.target ~= version or obj.status.stage == "Finished" or obj.status.stage == "Verified" then
  error("nothing is on its way that could be given up", 0)
end

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/abandoned-version"] = version
return obj
