-- purser.dev/abandoned-version takes back the release that serves, as long as the one before it is kept.

local release = obj.status ~= nil and obj.status.release or {}
-- The release that the spec asks for: a version, or another configuration of it, as in 1.4.0-r2.
local version = obj.spec.version
local target = release.target or ""
for revision = 2, 999 do
  if target == obj.spec.version .. "-r" .. revision then
    version = target
  end
end

if release.current ~= version or release.kept == nil then
  error("no release before " .. version .. " is kept; to go back, set spec.version and its settings as they are wanted", 0)
end

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/abandoned-version"] = version
return obj
