-- Lets a release that is held go on.

if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["purser.dev/paused"] = nil
end
return obj
