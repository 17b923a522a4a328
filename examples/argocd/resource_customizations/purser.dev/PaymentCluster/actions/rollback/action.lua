-- purser.dev/abandoned-version takes back the release that serves, as long as the one before it is kept.

local release = obj.status ~= nil and obj.status.release or {}
local version = obj.spec.version

if release.current ~= version or release.kept == nil then
  error("no release before " .. version .. " is kept; to go back, set spec.version to the version that is wanted", 0)
end

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/abandoned-version"] = version
return obj
