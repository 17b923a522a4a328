-- purser.dev/rejected-version refuses one version: it is not tried until another one was wanted, or by `retry`.

local status = obj.status or {}
-- The release that the spec asks for: a version, or another configuration of it, as in 1.4.0-r2.
local version = obj.spec.version
local target = status.release ~= nil and status.release.target or ""
for revision = 2, 999 do
  if target == obj.spec.version .. "-r" .. revision then
    version = target
  end
end
local meant = actionParams ~= nil and actionParams["version"] or version

if status.stage ~= "AwaitingApproval" or status.release == nil or status.release.target ~= version then
  error("nothing waits for approval", 0)
end
if meant ~= version then
  error("release " .. version .. " waits for approval, not " .. meant, 0)
end

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/rejected-version"] = version
-- The last word counts.
if obj.metadata.annotations["purser.dev/approved-version"] == version then
  obj.metadata.annotations["purser.dev/approved-version"] = nil
end
return obj
