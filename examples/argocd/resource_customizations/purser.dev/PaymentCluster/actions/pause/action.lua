-- Holds the release where it is. A breach of its SLA rolls it back all the same.

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/paused"] = "true"
return obj
