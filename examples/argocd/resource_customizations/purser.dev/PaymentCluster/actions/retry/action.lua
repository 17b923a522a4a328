-- Any new value of purser.dev/retry has what failed tried again. The resource's version is one that it never had before.

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["purser.dev/retry"] = "argocd-" .. obj.metadata.resourceVersion
-- What was said against the version is taken back.
obj.metadata.annotations["purser.dev/abandoned-version"] = nil
obj.metadata.annotations["purser.dev/rejected-version"] = nil
return obj
